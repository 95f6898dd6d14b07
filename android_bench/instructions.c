/* A QEMU plugin that counts the instructions of an emulated AArch64 process, by class, between marks.
 *
 * runner.cc marks runs, and readings of its virtual clock, with a system call that no kernel has. For each marked
 * run this plugin writes one line of JSON: the counts, and the counts so far at each reading.
 *
 *   qemu-aarch64 -plugin ./instructions.so,out=counts.jsonl -cpu cortex-a72 ... ./runner ... --count 3
 *
 * QEMU's plugin interface is declared here, since distributions do not ship its header: version 1 (QEMU before 9)
 * and the one of later versions, whichever the emulator has. Counts are exact with one thread.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARK = 0x7a66, MARK_BEGIN = 1, MARK_END = 2, MARK_CLOCK = 3 };

enum class { TOTAL, MACS, FMLA, SMLAL, SDOT, SMMLA, SIMD, LOAD, STORE, BRANCH, SCALAR, CLASSES };
static const char *const names[CLASSES] = {"total", "macs", "fmla", "smlal",  "sdot",  "smmla",
                                           "simd",  "load", "store", "branch", "scalar"};

typedef struct {
    uint64_t of[CLASSES];
} counts;

/* ------------------------------------------------------------------------------------- QEMU's plugin interface */

typedef uint64_t plugin_id;
typedef struct {
    void *score;
    size_t offset;
} plugin_u64;
enum { ADD_U64 = 0 };

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, void *));
extern size_t qemu_plugin_tb_n_insns(const void *);
extern void *qemu_plugin_tb_get_insn(const void *, size_t);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id,
                                                 void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
/* Of version 1, and of what came after it. */
static const void *(*insn_data_1)(const void *);
static size_t (*insn_data_3)(const void *, void *, size_t);
static void (*tb_add_1)(void *, int, void *, uint64_t);
static void (*tb_add_2)(void *, int, plugin_u64, uint64_t);
static void *(*scoreboard_new)(size_t);
static uint64_t (*u64_sum)(plugin_u64);

static counts plain;       /* where version 1 adds */
static void *scoreboard;   /* where later versions add */

__attribute__((constructor)) static void choose_version(void) {
    scoreboard_new = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "qemu_plugin_scoreboard_new");
    if (scoreboard_new) {
        /* Version 2 came with QEMU 9.0, and with 9.1 version 3, which changed how instructions are read. */
        qemu_plugin_version = dlsym(RTLD_DEFAULT, "qemu_plugin_u64_set") &&
                                      dlsym(RTLD_DEFAULT, "qemu_plugin_register_vcpu_tb_exec_cond_cb")
                                  ? 3
                                  : 2;
    }
}

static bool resolve(void) {
    void *data = dlsym(RTLD_DEFAULT, "qemu_plugin_insn_data");
    insn_data_1 = (const void *(*)(const void *))data;
    insn_data_3 = (size_t(*)(const void *, void *, size_t))data;
    tb_add_1 = (void (*)(void *, int, void *, uint64_t))dlsym(RTLD_DEFAULT, "qemu_plugin_register_vcpu_tb_exec_inline");
    tb_add_2 = (void (*)(void *, int, plugin_u64, uint64_t))dlsym(
        RTLD_DEFAULT, "qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu");
    u64_sum = (uint64_t(*)(plugin_u64))dlsym(RTLD_DEFAULT, "qemu_plugin_u64_sum");
    return data && (scoreboard_new ? tb_add_2 && u64_sum : tb_add_1 != NULL);
}

static uint32_t word_of(const void *insn) {
    uint32_t word = 0;
    if (qemu_plugin_version >= 3) {
        insn_data_3(insn, &word, sizeof word);
    } else {
        memcpy(&word, insn_data_1(insn), sizeof word);
    }
    return word;
}

static void add(void *block, int class, uint64_t count) {
    if (scoreboard) {
        tb_add_2(block, ADD_U64, (plugin_u64){scoreboard, class * sizeof(uint64_t)}, count);
    } else {
        tb_add_1(block, ADD_U64, &plain.of[class], count);
    }
}

static counts now(void) {
    if (!scoreboard) return plain;
    counts found;
    for (int class = 0; class < CLASSES; ++class) {
        found.of[class] = u64_sum((plugin_u64){scoreboard, class * sizeof(uint64_t)});
    }
    return found;
}

/* --------------------------------------------------------------------------------------------- A64 instructions */

static bool is(uint32_t word, uint32_t mask, uint32_t value) { return (word & mask) == value; }

/* Arm Architecture Reference Manual (DDI 0487), C4.1: the groups of loads and stores. */
static enum class load_or_store(uint32_t word) {
    bool low = word >> 22 & 1;
    if (is(word, 0x3b000000, 0x18000000)) return LOAD;               /* literal */
    if (is(word, 0x3a000000, 0x38000000) && !(word >> 26 & 1)) {     /* one general register */
        return word >> 22 & 3 ? LOAD : STORE;
    }
    return low ? LOAD : STORE; /* pairs, structures, exclusives, vector registers */
}

/* Returns the class of a vector instruction, and how many multiply-accumulates it is. */
static enum class vector(uint32_t word, uint64_t *macs) {
    unsigned wide = word >> 30 & 1, size = word >> 22 & 3;
    uint32_t either = word & ~0x20000000u; /* signed and unsigned alike */
    *macs = 0;
    if (is(word, 0xbfa0fc00, 0x0e20cc00) || is(word, 0xbf80f400, 0x0f801000)) { /* FMLA, single or double */
        *macs = (size & 1 ? 1u : 2u) << wide;
        return FMLA;
    }
    if (is(word, 0xbfe0fc00, 0x0e400c00) || is(word, 0xbfc0f400, 0x0f001000)) { /* FMLA, half */
        *macs = 4u << wide;
        return FMLA;
    }
    if (is(word, 0xff208000, 0x1f000000) || is(word, 0xff80f400, 0x5f801000)) { /* FMADD, FMLA of a scalar */
        *macs = 1;
        return FMLA;
    }
    if (is(either, 0xbf20fc00, 0x0e208000) || is(either, 0xbf00f400, 0x0f002000) || /* SMLAL, UMLAL */
        is(either, 0xbf20fc00, 0x0e20c000) || is(either, 0xbf00f400, 0x0f00a000)) { /* SMULL, UMULL */
        *macs = 8u >> size;
        return SMLAL;
    }
    if (is(either, 0xbfe0fc00, 0x0e809400) || is(either, 0xbfc0f400, 0x0f80e000) || /* SDOT, UDOT */
        is(word, 0xbfe0fc00, 0x0e809c00) || is(word, 0xbf40f400, 0x0f00f000)) {     /* USDOT, SUDOT */
        *macs = 8u << wide;
        return SDOT;
    }
    if (is(either, 0xffe0fc00, 0x4e80a400) || is(word, 0xffe0fc00, 0x4e80ac00)) { /* SMMLA, UMMLA, USMMLA */
        *macs = 32;
        return SMMLA;
    }
    return SIMD;
}

static enum class classify(uint32_t word, uint64_t *macs) {
    *macs = 0;
    if (is(word, 0x0a000000, 0x08000000)) return load_or_store(word);
    if (is(word, 0x0e000000, 0x0e000000)) return vector(word, macs);
    if (is(word, 0x1c000000, 0x14000000)) return BRANCH;
    return SCALAR;
}

/* --------------------------------------------------------------------------------------------------- the plugin */

enum { MOST_READINGS = 1 << 20 };
static FILE *out;
static counts begin;
static counts *readings;
static size_t num_readings, room;
static uint64_t first_reading;
static bool inside;

static void on_block(plugin_id id, void *block) {
    (void)id;
    counts of = {{0}};
    size_t size = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < size; ++i) {
        uint64_t macs;
        ++of.of[classify(word_of(qemu_plugin_tb_get_insn(block, i)), &macs)];
        of.of[MACS] += macs;
    }
    of.of[TOTAL] = size;
    for (int class = 0; class < CLASSES; ++class) {
        if (of.of[class]) add(block, class, of.of[class]);
    }
}

static void print_since_begin(const counts *at) {
    fputc('[', out);
    for (int class = 0; class < CLASSES; ++class) {
        fprintf(out, class ? ", %" PRIu64 : "%" PRIu64, at->of[class] - begin.of[class]);
    }
    fputc(']', out);
}

static void write_run(uint64_t index) {
    counts end = now();
    fprintf(out, "{\"run\": %" PRIu64 ", \"counts\": ", index);
    print_since_begin(&end);
    fprintf(out, ", \"first_reading\": %" PRIu64 ", \"readings\": [", first_reading);
    for (size_t i = 0; i < num_readings; ++i) {
        if (i) fputs(", ", out);
        print_since_begin(&readings[i]);
    }
    fputs("]}\n", out);
    fflush(out);
}

static void on_reading(uint64_t index) {
    if (num_readings == 0) first_reading = index;
    if (num_readings == room && room < MOST_READINGS) {
        size_t more = room ? 2 * room : 256;
        counts *moved = realloc(readings, more * sizeof *readings);
        if (!moved) return;
        readings = moved;
        room = more;
    }
    if (num_readings < room) readings[num_readings++] = now();
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t what, uint64_t index, uint64_t c, uint64_t d,
                       uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != MARK) return;
    if (what == MARK_BEGIN) {
        num_readings = 0;
        inside = true;
        begin = now();
    } else if (what == MARK_CLOCK && inside) {
        on_reading(index);
    } else if (what == MARK_END && inside) {
        write_run(index);
        inside = false;
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    const char *path = NULL;
    for (int i = 0; i < argc; ++i) {
        if (strncmp(argv[i], "out=", 4) == 0) path = argv[i] + 4;
    }
    if (!path || !resolve() || !(out = fopen(path, "w"))) {
        fprintf(stderr, "instructions.so needs out=FILE that can be written, and QEMU 6 or newer.\n");
        return -1;
    }
    fputs("{\"classes\": [", out);
    for (int class = 0; class < CLASSES; ++class) fprintf(out, class ? ", \"%s\"" : "\"%s\"", names[class]);
    fputs("]}\n", out);
    if (scoreboard_new) scoreboard = scoreboard_new(sizeof(counts));
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
