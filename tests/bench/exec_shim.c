/* Preloaded into the shell of a pretended device: programs for AArch64 are run by QEMU. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_foreign(const char *path) {
    unsigned char head[20] = {0};
    int file = open(path, O_RDONLY);
    if (file < 0) return 0;
    ssize_t size = read(file, head, sizeof head);
    close(file);
    return size == sizeof head && memcmp(head, "\177ELF", 4) == 0 && head[18] == 183;
}

int execve(const char *path, char *const arguments[], char *const environment[]) {
    int (*real)(const char *, char *const[], char *const[]) =
        (int (*)(const char *, char *const[], char *const[]))dlsym(RTLD_NEXT, "execve");
    if (!is_foreign(path)) return real(path, arguments, environment);
    size_t count = 0;
    while (arguments[count]) ++count;
    char **words = calloc(count + 8, sizeof *words);
    char **kept = calloc(1, sizeof *kept);
    if (!words || !kept) return -1;
    size_t at = 0;
    words[at++] = "qemu-aarch64";
    words[at++] = "-cpu";
    words[at++] = getenv("TFZIP_EXEC_CPU");
    words[at++] = "-L";
    words[at++] = getenv("TFZIP_EXEC_ROOT");
    words[at++] = (char *)path;
    for (size_t i = 1; i < count; ++i) words[at++] = arguments[i];
    return real("/usr/bin/qemu-aarch64", words, kept);
}
