// Runs a .tflite file on the machine it is started on and reports, line by line, what it costs.
//
// One file, no headers but the system's: LiteRT's C interface is declared here and looked up in libLiteRt.so at
// run time, so one binary serves every build of the library from 2.1.6 on. README.md describes the protocol.

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr int kProtocol = 1;

enum Status { kDone = 0, kBadArgument = 1, kBadLibrary = 2, kBadModel = 3, kBadInputs = 4, kRunFailed = 5 };

// ---------------------------------------------------------------------------------------------------- LiteRT

using Handle = void*;
using St = int;

struct Layout {
  unsigned rank : 7;
  unsigned has_strides : 1;
  int32_t dims[8];
  uint32_t strides[8];
};
static_assert(sizeof(Layout) == 68, "as in LiteRT");

struct TensorType {
  int element;
  Layout layout;
};
static_assert(sizeof(TensorType) == 72, "as in LiteRT");

struct Any {
  int type;
  union {
    bool boolean;
    int64_t integer;
    double real;
    const char* text;
  };
};

struct EnvironmentOption {
  int tag;
  Any value;
};

struct Use {
  size_t total, in_use, reserved;
};

struct ProfiledEvent {
  const char* tag;
  int type;
  uint64_t start_us, elapsed_us;
  Use begin, end;
  uint64_t meta1, meta2;
  int source;
};

constexpr int kAnyInteger = 2;
constexpr int kAutoRegisterAccelerators = 24, kMinLoggerSeverity = 25, kErrorsOnly = 3;
constexpr int kCpu = 1, kGpu = 2, kNpu = 4;
constexpr int kLockRead = 0, kLockWrite = 1;
constexpr int kInvoke = 1, kOperation = 2, kDelegateOperation = 8;
constexpr int kText = 5;
constexpr int kForceFp16 = 4, kDefaultFlags = 3;

#define LITERT_FUNCTIONS(X)                                                                                   \
  X(St, CreateEnvironment, int, const EnvironmentOption*, Handle*)                                            \
  X(St, CreateModelFromFile, Handle, const char*, Handle*)                                                    \
  X(St, CreateOptions, Handle*)                                                                               \
  X(St, SetOptionsHardwareAccelerators, Handle, int)                                                          \
  X(St, CreateOpaqueOptions, const char*, void*, void (*)(void*), Handle*)                                    \
  X(St, AddOpaqueOptions, Handle, Handle)                                                                     \
  X(St, CreateCompiledModel, Handle, Handle, Handle, Handle*)                                                 \
  X(St, CompiledModelIsFullyAccelerated, Handle, bool*)                                                       \
  X(St, GetNumModelSignatures, Handle, size_t*)                                                               \
  X(St, GetModelSignature, Handle, size_t, Handle*)                                                           \
  X(St, GetSignatureKey, Handle, const char**)                                                                \
  X(St, GetNumSignatureInputs, Handle, size_t*)                                                               \
  X(St, GetNumSignatureOutputs, Handle, size_t*)                                                              \
  X(St, GetSignatureInputName, Handle, size_t, const char**)                                                  \
  X(St, GetSignatureOutputName, Handle, size_t, const char**)                                                 \
  X(St, GetSignatureInputTensorByIndex, Handle, size_t, Handle*)                                              \
  X(St, GetSignatureOutputTensorByIndex, Handle, size_t, Handle*)                                             \
  X(St, GetRankedTensorType, Handle, TensorType*)                                                             \
  X(St, GetCompiledModelInputBufferRequirements, Handle, size_t, size_t, Handle*)                             \
  X(St, GetCompiledModelOutputBufferRequirements, Handle, size_t, size_t, Handle*)                            \
  X(St, GetCompiledModelInputTensorLayout, Handle, size_t, size_t, Layout*)                                   \
  X(St, GetCompiledModelOutputTensorLayouts, Handle, size_t, size_t, Layout*, bool)                           \
  X(St, CreateManagedTensorBufferFromRequirements, Handle, const TensorType*, Handle, Handle*)                \
  X(St, GetTensorBufferPackedSize, Handle, size_t*)                                                           \
  X(St, LockTensorBuffer, Handle, void**, int)                                                                \
  X(St, UnlockTensorBuffer, Handle)                                                                           \
  X(St, RunCompiledModel, Handle, size_t, size_t, Handle*, size_t, Handle*)                                   \
  X(St, CompiledModelGetProfiler, Handle, Handle*)                                                            \
  X(St, StartProfiler, Handle)                                                                                \
  X(St, StopProfiler, Handle)                                                                                 \
  X(St, ResetProfiler, Handle)                                                                                \
  X(St, GetNumProfilerEvents, Handle, int*)                                                                   \
  X(St, GetProfilerEvents, Handle, int, ProfiledEvent*)

// What a library may lack; null then.
#define LITERT_MORE_FUNCTIONS(X)                                                                              \
  X(St, GetNumAccelerators, Handle, size_t*)                                                                  \
  X(St, GetAccelerator, Handle, size_t, Handle*)                                                              \
  X(St, GetAcceleratorHardwareSupport, Handle, int*)                                                          \
  X(St, GetTensorWeights, Handle, Handle*)                                                                    \
  X(St, GetWeightsBytes, Handle, const void**, size_t*)

struct Library {
#define LITERT_DECLARE(result, name, ...) result (*name)(__VA_ARGS__);
  LITERT_FUNCTIONS(LITERT_DECLARE)
  LITERT_MORE_FUNCTIONS(LITERT_DECLARE)
#undef LITERT_DECLARE
};

// ---------------------------------------------------------------------------------------------------- report

const char* g_phase = "starting";  // what a crash is reported with

// Prints one line of JSON and flushes it.
void Print(const std::string& line) {
  fputs(line.c_str(), stdout);
  fputc('\n', stdout);
  fflush(stdout);
}

std::string Format(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c < 0x20) {
      quoted += Format("\\u%04x", c);
    } else {
      quoted += static_cast<char>(c);
    }
  }
  return quoted + "\"";
}

// Prints the end marker and ends the process.
[[noreturn]] void End(int status, const std::string& message = "") {
  std::string line = Format("{\"event\": \"end\", \"status\": %d", status);
  if (!message.empty()) line += ", \"message\": " + Quoted(message);
  Print(line + "}");
  _exit(status);  // the library's own threads and destructors have no say in the status
}

// Tells of a crash with what is safe in a signal handler, then lets the signal end the process.
void OnCrash(int number) {
  char text[256];
  int size = snprintf(text, sizeof text,
                      "\n{\"event\": \"end\", \"status\": %d, \"message\": \"Signal %d while %s.\"}\n", 128 + number,
                      number, g_phase);
  if (write(STDOUT_FILENO, text, static_cast<size_t>(size)) < 0) _exit(128 + number);
  signal(number, SIG_DFL);
  raise(number);
}

// ----------------------------------------------------------------------------------------------------- clock

// Under an emulator time means nothing. `--count` replaces the clock that the library's profiler reads by one
// that advances by a microsecond with each reading, and tells the instruction counter of each, so that the
// profiler's times are numbers of readings.
bool g_virtual_clock = false;
uint64_t g_readings = 0;

constexpr long kMark = 0x7a66;  // a system call that no kernel has; the counter of instructions listens to it
constexpr long kMarkBegin = 1, kMarkEnd = 2, kMarkClock = 3;

void Mark(long what, uint64_t index) { syscall(kMark, what, index); }

double NowMs() {
  timespec now;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

}  // namespace

// Takes the place of the C library's for everything in this process.
extern "C" __attribute__((visibility("default"))) int clock_gettime(clockid_t clock, timespec* now) {
  using Function = int (*)(clockid_t, timespec*);
  static const Function real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "clock_gettime"));
  if (!g_virtual_clock) return real ? real(clock, now) : static_cast<int>(syscall(SYS_clock_gettime, clock, now));
  const uint64_t reading = g_readings++;
  Mark(kMarkClock, reading);
  now->tv_sec = static_cast<time_t>(reading / 1000000);
  now->tv_nsec = static_cast<long>(reading % 1000000 * 1000);
  return 0;
}

namespace {

// -------------------------------------------------------------------------------------------------- arguments

struct Options {
  std::string library, model, inputs, outputs, kernel_mode, weight_cache, signature, accelerator = "cpu";
  int threads = 1, runs = 0, count = 0, profile = 0;
  uint64_t seed = 0, cpus = 0;
  double warmup_s = 2.0, deadline_s = 0;
  bool blocks = false, memory = false, fp16 = false;
};

constexpr char kUsage[] =
    "usage: runner --library LIB --model FILE [options]\n"
    "  --threads N          threads of the kernels (1)\n"
    "  --accelerator NAME   cpu, gpu or npu (cpu)\n"
    "  --fp16               let XNNPACK compute float32 in half precision where the processor can\n"
    "  --kernel-mode NAME   delegate or builtin (the library's default: delegate)\n"
    "  --weight-cache FILE  keep packed weights in a file, for shorter starts\n"
    "  --signature KEY      which entry point of the file (the first)\n"
    "  --cpus MASK          cores to run on, in hexadecimal (all)\n"
    "  --inputs FILE        real inputs: all tensors of a batch one after the other, batches back to back\n"
    "  --seed N             of random inputs, where none are given (0)\n"
    "  --outputs FILE       write the outputs of each batch, laid out like inputs\n"
    "  --warmup-s S         longest warm-up in seconds (2)\n"
    "  --deadline-s S       end this process after so many seconds, whatever it does (never)\n"
    "  --runs N             time N runs after warm-up\n"
    "  --blocks             after warm-up take commands from standard input (README.md)\n"
    "  --memory             measure memory and time nothing\n"
    "  --profile N          time each operation over N runs\n"
    "  --count N            mark N runs for a counter of instructions and time nothing\n";

double Number(const std::string& name, const char* text, double low, double high) {
  char* end = nullptr;
  errno = 0;
  const double value = strtod(text, &end);
  if (end == text || *end || errno || !(value >= low && value <= high)) {
    End(kBadArgument, name + " takes a number from " + Format("%g to %g", low, high) + ". Received: '" + text + "'.");
  }
  return value;
}

uint64_t Mask(const std::string& name, const char* text) {
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = strtoull(text, &end, 16);
  if (!isxdigit(static_cast<unsigned char>(*text)) || *end || errno || !value) {
    End(kBadArgument, name + " takes a hexadecimal mask of cores from 1 to ffffffffffffffff. Received: '" + text + "'.");
  }
  return value;
}

Options Parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string given = arguments[i];
    const size_t equals = given.find('=');
    const std::string name = given.substr(0, equals);
    std::string joined = equals == std::string::npos ? "" : given.substr(equals + 1);
    auto value = [&]() -> const char* {
      if (equals != std::string::npos) return joined.c_str();
      if (++i >= count) End(kBadArgument, name + " needs a value.");
      return arguments[i];
    };
    auto whole = [&](double low, double high) { return static_cast<int>(Number(name, value(), low, high)); };
    if (name == "--library") options.library = value();
    else if (name == "--model") options.model = value();
    else if (name == "--inputs") options.inputs = value();
    else if (name == "--outputs") options.outputs = value();
    else if (name == "--kernel-mode") options.kernel_mode = value();
    else if (name == "--weight-cache") options.weight_cache = value();
    else if (name == "--signature") options.signature = value();
    else if (name == "--accelerator") options.accelerator = value();
    else if (name == "--threads") options.threads = whole(1, 256);
    else if (name == "--runs") options.runs = whole(1, 1e9);
    else if (name == "--count") options.count = whole(1, 1e6);
    else if (name == "--profile") options.profile = whole(1, 1e6);
    else if (name == "--seed") options.seed = static_cast<uint64_t>(Number(name, value(), 0, 9e15));
    else if (name == "--cpus") options.cpus = Mask(name, value());
    else if (name == "--warmup-s") options.warmup_s = Number(name, value(), 0, 1e6);
    else if (name == "--deadline-s") options.deadline_s = Number(name, value(), 1, 1e6);
    else if (name == "--blocks") options.blocks = true;
    else if (name == "--memory") options.memory = true;
    else if (name == "--fp16") options.fp16 = true;
    else if (name == "--help") { fputs(kUsage, stderr); End(kDone); }
    else { fputs(kUsage, stderr); End(kBadArgument, "Unknown option '" + name + "'."); }
  }
  if (options.library.empty() || options.model.empty()) {
    fputs(kUsage, stderr);
    End(kBadArgument, "--library and --model are needed.");
  }
  return options;
}

// ----------------------------------------------------------------------------------------------------- system

long KilobytesIn(const char* path, const char* key) {
  FILE* file = fopen(path, "r");
  if (!file) return 0;
  char line[256];
  long found = 0;
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, key, strlen(key)) == 0) {
      found = strtol(line + strlen(key), nullptr, 10);
      break;
    }
  }
  fclose(file);
  return found;
}

int64_t PeakBytes() {
  if (const long kilobytes = KilobytesIn("/proc/self/status", "VmHWM:")) return 1024LL * kilobytes;
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return 1024LL * usage.ru_maxrss;
}

// Sets the recorded peak to the present use where the system can (proc(5)), and returns it.
int64_t ResetPeak() {
  const int file = open("/proc/self/clear_refs", O_WRONLY);
  if (file >= 0) {
    if (write(file, "5", 1) < 0) errno = 0;
    close(file);
  }
  return PeakBytes();
}

// Returns the bytes in use on the C library's heap, or -1 where it does not tell. Unlike pages, they do not
// depend on an emulator around this process.
int64_t HeapBytes() {
  struct Info {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
  };
  using Function = Info (*)();
  static const Function function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, "mallinfo2"));
  if (!function) return -1;
  const Info info = function();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

void Pin(uint64_t mask) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core = 0; core < 64; ++core) {
    if (mask >> core & 1) CPU_SET(core, &set);
  }
  if (sched_setaffinity(0, sizeof set, &set)) {
    End(kBadArgument, Format("The process may not run on cores %llx: %s.", static_cast<unsigned long long>(mask),
                             strerror(errno)));
  }
}

// Returns the clock of the core that this thread runs on, in kHz; 0 where the system does not tell.
long ClockKhz() {
  const std::string path =
      Format("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", std::max(0, sched_getcpu()));
  FILE* file = fopen(path.c_str(), "r");
  if (!file) return 0;
  long found = 0;
  if (fscanf(file, "%ld", &found) != 1) found = 0;
  fclose(file);
  return found;
}

// ------------------------------------------------------------------------------------------------------ model

struct Element {
  const char* name;
  size_t bits;
};

// The numbers of TensorFlow Lite's schema.
Element ElementOf(int type) {
  switch (type) {
    case 1: return {"float32", 32};
    case 2: return {"int32", 32};
    case 3: return {"uint8", 8};
    case 4: return {"int64", 64};
    case 6: return {"bool", 8};
    case 7: return {"int16", 16};
    case 9: return {"int8", 8};
    case 10: return {"float16", 16};
    case 11: return {"float64", 64};
    case 16: return {"uint32", 32};
    case 17: return {"uint16", 16};
    default: return {"", 0};
  }
}

struct Tensor {
  std::string name;
  TensorType type;
  Handle tensor = nullptr, buffer = nullptr;
  size_t bytes = 0;
  const void* constant = nullptr;  // values of the file, of an output that no operation writes
};

class Model {
 public:
  explicit Model(const Options& options);

  void Open();
  // Writes a batch into the inputs.
  void Feed(size_t index);
  void Run();
  // Writes the outputs and returns a digest of them and of what was written before.
  uint64_t WriteOutputs(FILE* file, uint64_t digest);

  size_t batches() const { return batches_; }
  std::string Description() const;
  Handle Profiler();
  const Library& library() const { return library_; }

 private:
  [[noreturn]] void Fail(int status, const std::string& what, St code) const;
  void Load();
  Handle Option(const char* id, const std::string& text);
  void CheckAccelerator(int wanted) const;
  void ChooseSignature();
  void MakeTensors(bool input);
  void ReadInputs();
  void DrawInputs();

  const Options& options_;
  Library library_{};
  Handle environment_ = nullptr, model_ = nullptr, compiled_ = nullptr, entry_ = nullptr;
  size_t signature_ = 0;
  std::string key_;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<Handle> input_buffers_, output_buffers_;
  std::vector<char> data_;
  size_t batch_bytes_ = 0, batches_ = 1;
  bool fully_accelerated_ = false, prepared_ = true;
};

Model::Model(const Options& options) : options_(options) {
  g_phase = "loading the library";
  Load();
}

void Model::Fail(int status, const std::string& what, St code) const {
  End(status, what + Format(" (LiteRT's status %d).", code));
}

void Model::Load() {
  void* handle = dlopen(options_.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) End(kBadLibrary, std::string("The LiteRT library cannot be loaded: ") + dlerror());
#define LITERT_RESOLVE(result, name, ...)                                                     \
  library_.name = reinterpret_cast<result (*)(__VA_ARGS__)>(dlsym(handle, "LiteRt" #name));   \
  if (!library_.name) {                                                                       \
    End(kBadLibrary, options_.library + " has no LiteRt" #name "; take LiteRT 2.1.6 or newer."); \
  }
  LITERT_FUNCTIONS(LITERT_RESOLVE)
#undef LITERT_RESOLVE
#define LITERT_LOOK_UP(result, name, ...) \
  library_.name = reinterpret_cast<result (*)(__VA_ARGS__)>(dlsym(handle, "LiteRt" #name));
  LITERT_MORE_FUNCTIONS(LITERT_LOOK_UP)
#undef LITERT_LOOK_UP
}

Handle Model::Option(const char* id, const std::string& text) {
  Handle made = nullptr;
  const St code = library_.CreateOpaqueOptions(id, strdup(text.c_str()), free, &made);
  if (code) Fail(kBadLibrary, std::string("The library takes no options of kind ") + id, code);
  return made;
}

void Model::Open() {
  g_phase = "opening the file";
  if (access(options_.model.c_str(), R_OK)) {
    End(kBadModel, options_.model + " cannot be read: " + strerror(errno) + ".");
  }
  const int accelerator = options_.accelerator == "gpu"   ? kGpu
                          : options_.accelerator == "npu" ? kNpu
                          : options_.accelerator == "cpu" ? 0
                                                          : -1;
  if (accelerator < 0) End(kBadArgument, "--accelerator is cpu, gpu or npu. Received: '" + options_.accelerator + "'.");
  EnvironmentOption choices[2] = {};
  choices[0].tag = kAutoRegisterAccelerators;
  choices[0].value.type = kAnyInteger;
  choices[0].value.integer = kCpu | accelerator;
  choices[1].tag = kMinLoggerSeverity;
  choices[1].value.type = kAnyInteger;
  choices[1].value.integer = kErrorsOnly;
  if (St code = library_.CreateEnvironment(2, choices, &environment_)) {
    Fail(kBadLibrary, "The library cannot be started", code);
  }
  CheckAccelerator(accelerator);
  if (St code = library_.CreateModelFromFile(environment_, options_.model.c_str(), &model_)) {
    Fail(kBadModel, options_.model + " is no .tflite file that this library reads", code);
  }
  Handle chosen = nullptr;
  if (St code = library_.CreateOptions(&chosen)) Fail(kBadLibrary, "The library makes no options", code);
  library_.SetOptionsHardwareAccelerators(chosen, kCpu | accelerator);
  std::string text = Format("num_threads = %d\n", options_.threads);
  if (options_.fp16) text += Format("flags = %d\n", kDefaultFlags | kForceFp16);
  if (!options_.kernel_mode.empty()) text += "kernel_mode = " + Quoted(options_.kernel_mode) + "\n";
  if (!options_.weight_cache.empty()) text += "weight_cache_file_path = " + Quoted(options_.weight_cache) + "\n";
  library_.AddOpaqueOptions(chosen, Option("xnnpack", text));
  if (options_.profile || options_.count) {
    library_.AddOpaqueOptions(chosen, Option("runtime_options_string", "enable_profiling = true\n"));
  }
  if (St code = library_.CreateCompiledModel(environment_, model_, chosen, &compiled_)) {
    Fail(kBadModel,
         options_.model + " cannot be prepared: an operation that the library lacks, or an option that it does not know",
         code);
  }
  library_.CompiledModelIsFullyAccelerated(compiled_, &fully_accelerated_);
  ChooseSignature();
  MakeTensors(true);
  MakeTensors(false);
  for (const Tensor& tensor : inputs_) {
    input_buffers_.push_back(tensor.buffer);
    batch_bytes_ += tensor.bytes;
  }
  for (const Tensor& tensor : outputs_) output_buffers_.push_back(tensor.buffer);
  options_.inputs.empty() ? DrawInputs() : ReadInputs();
}

// Ends the process where the library would run on the CPU instead of what was asked for.
void Model::CheckAccelerator(int wanted) const {
  size_t count = 0;
  if (library_.GetNumAccelerators) library_.GetNumAccelerators(environment_, &count);
  bool found = wanted == 0;
  for (size_t i = 0; i < count && !found; ++i) {
    Handle one = nullptr;
    int kinds = 0;
    if (library_.GetAccelerator(environment_, i, &one) || library_.GetAcceleratorHardwareSupport(one, &kinds)) continue;
    found = kinds & wanted;
  }
  if (!found) {
    End(kBadArgument, "The library has no accelerator '" + options_.accelerator + "' here; take --accelerator cpu.");
  }
}

void Model::ChooseSignature() {
  size_t count = 0;
  library_.GetNumModelSignatures(model_, &count);
  std::string known;
  for (signature_ = 0; signature_ < count; ++signature_) {
    const char* key = nullptr;
    library_.GetModelSignature(model_, signature_, &entry_);
    library_.GetSignatureKey(entry_, &key);
    key_ = key ? key : "";
    if (options_.signature.empty() || options_.signature == key_) return;
    known += (known.empty() ? "" : ", ") + key_;
  }
  End(kBadArgument, "The file has no signature '" + options_.signature + "'. It has: " + known + ".");
}

void Model::MakeTensors(bool input) {
  size_t count = 0;
  (input ? library_.GetNumSignatureInputs : library_.GetNumSignatureOutputs)(entry_, &count);
  std::vector<Layout> layouts(count);
  if (!input && count) {
    prepared_ = !library_.GetCompiledModelOutputTensorLayouts(compiled_, signature_, count, layouts.data(), true);
  }
  for (size_t i = 0; i < count; ++i) {
    Tensor made;
    const char* name = nullptr;
    Handle needs = nullptr, weights = nullptr;
    (input ? library_.GetSignatureInputName : library_.GetSignatureOutputName)(entry_, i, &name);
    made.name = name ? name : "";
    (input ? library_.GetSignatureInputTensorByIndex : library_.GetSignatureOutputTensorByIndex)(entry_, i, &made.tensor);
    if (St code = library_.GetRankedTensorType(made.tensor, &made.type)) {
      Fail(kBadModel, "Tensor '" + made.name + "' has no shape", code);
    }
    if (made.type.element == kText) End(kBadModel, "Tensor '" + made.name + "' is text; only numbers can be fed.");
    if (input) library_.GetCompiledModelInputTensorLayout(compiled_, signature_, i, &layouts[i]);
    if (layouts[i].rank == made.type.layout.rank) made.type.layout = layouts[i];  // with open sizes settled
    (input ? library_.GetCompiledModelInputBufferRequirements
           : library_.GetCompiledModelOutputBufferRequirements)(compiled_, signature_, i, &needs);
    if (St code = library_.CreateManagedTensorBufferFromRequirements(environment_, &made.type, needs, &made.buffer)) {
      Fail(kBadModel, "No memory can be had for tensor '" + made.name + "'", code);
    }
    library_.GetTensorBufferPackedSize(made.buffer, &made.bytes);
    size_t size = 0;
    if (!input && library_.GetTensorWeights && library_.GetWeightsBytes &&
        !library_.GetTensorWeights(made.tensor, &weights) &&
        (library_.GetWeightsBytes(weights, &made.constant, &size) || size != made.bytes)) {
      made.constant = nullptr;
    }
    for (const Tensor& one : inputs_) {
      if (!input && one.tensor == made.tensor) made.buffer = one.buffer;  // else operations would read the other
    }
    (input ? inputs_ : outputs_).push_back(made);
  }
}

void Model::ReadInputs() {
  FILE* file = fopen(options_.inputs.c_str(), "rb");
  if (!file) End(kBadInputs, options_.inputs + " cannot be read: " + strerror(errno) + ".");
  struct stat facts;
  fstat(fileno(file), &facts);
  data_.resize(static_cast<size_t>(facts.st_size));
  const bool whole = batch_bytes_ ? !data_.empty() && data_.size() % batch_bytes_ == 0 : data_.empty();
  if (!whole ||
      fread(data_.data(), 1, data_.size(), file) != data_.size()) {
    End(kBadInputs, options_.inputs + Format(" has %zu bytes; a batch of this file takes %zu.", data_.size(), batch_bytes_));
  }
  fclose(file);
  if (batch_bytes_) batches_ = data_.size() / batch_bytes_;
}

// Floats in [-1, 1), any value of an 8-bit type, 0 or 1 for wider integers, which may be indices.
void Model::DrawInputs() {
  data_.resize(batch_bytes_);
  uint64_t state = options_.seed * 2862933555777941757ULL + 3037000493ULL;
  auto next = [&state] {  // xorshift64* (Vigna 2016)
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717ULL;
  };
  char* at = data_.data();
  for (const Tensor& tensor : inputs_) {
    const Element element = ElementOf(tensor.type.element);
    if (!element.bits) End(kBadInputs, "Input '" + tensor.name + "' is not numbers; give --inputs.");
    const std::string name = element.name;
    for (size_t i = 0; i < tensor.bytes * 8 / element.bits; ++i, at += element.bits / 8) {
      const uint64_t drawn = next() >> 11;
      const double unit = static_cast<double>(drawn) / 9007199254740992.0;
      if (name == "float32") {
        const float value = static_cast<float>(2 * unit - 1);
        memcpy(at, &value, sizeof value);
      } else if (name == "float64") {
        const double value = 2 * unit - 1;
        memcpy(at, &value, sizeof value);
      } else if (name == "float16") {  // 0.5 to 1, with a sign
        const uint16_t value = static_cast<uint16_t>(0x3800 | (drawn & 0x83ff));
        memcpy(at, &value, sizeof value);
      } else if (name == "int8" || name == "uint8") {
        *at = static_cast<char>(drawn & 0xff);
      } else {
        const uint64_t value = drawn & 1;
        memcpy(at, &value, element.bits / 8);
      }
    }
  }
}

void Model::Feed(size_t index) {
  const char* from = data_.data() + index % batches_ * batch_bytes_;
  for (const Tensor& tensor : inputs_) {
    void* to = nullptr;
    if (St code = library_.LockTensorBuffer(tensor.buffer, &to, kLockWrite)) {
      Fail(kRunFailed, "Input '" + tensor.name + "' cannot be written", code);
    }
    memcpy(to, from, tensor.bytes);
    library_.UnlockTensorBuffer(tensor.buffer);
    from += tensor.bytes;
  }
}

void Model::Run() {
  const St code = library_.RunCompiledModel(compiled_, signature_, input_buffers_.size(), input_buffers_.data(),
                                            output_buffers_.size(), output_buffers_.data());
  if (code && !prepared_) {
    Fail(kBadModel, options_.model + " cannot be prepared, as with an operation that the library lacks", code);
  }
  if (code) Fail(kRunFailed, "A run failed", code);
}

// FNV-1a (Fowler, Noll and Vo), 64 bits.
uint64_t Digest(const void* data, size_t size, uint64_t digest) {
  for (size_t i = 0; i < size; ++i) digest = (digest ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211ULL;
  return digest;
}

uint64_t Model::WriteOutputs(FILE* file, uint64_t digest) {
  for (const Tensor& tensor : outputs_) {
    void* held = nullptr;
    if (St code = library_.LockTensorBuffer(tensor.buffer, &held, kLockRead)) {
      Fail(kRunFailed, "Output '" + tensor.name + "' cannot be read", code);
    }
    const void* from = tensor.constant ? tensor.constant : held;
    const size_t written = fwrite(from, 1, tensor.bytes, file);
    digest = Digest(from, tensor.bytes, digest);
    library_.UnlockTensorBuffer(tensor.buffer);
    if (written != tensor.bytes) End(kRunFailed, options_.outputs + " cannot be written: " + strerror(errno) + ".");
  }
  return digest;
}

std::string Described(const std::vector<Tensor>& tensors) {
  std::string text;
  for (const Tensor& tensor : tensors) {
    std::string shape;
    for (unsigned i = 0; i < tensor.type.layout.rank; ++i) {
      shape += Format("%s%d", i ? ", " : "", tensor.type.layout.dims[i]);
    }
    text += (text.empty() ? "" : ", ") + std::string("{\"name\": ") + Quoted(tensor.name) + ", \"dtype\": \"" +
            ElementOf(tensor.type.element).name + "\", \"shape\": [" + shape + Format("], \"bytes\": %zu}", tensor.bytes);
  }
  return "[" + text + "]";
}

std::string Model::Description() const {
  return "\"signature\": " + Quoted(key_) + ", \"inputs\": " + Described(inputs_) + ", \"outputs\": " +
         Described(outputs_) + ", \"accelerator\": " + Quoted(options_.accelerator) +
         ", \"fully_accelerated\": " + (fully_accelerated_ ? "true" : "false");
}

Handle Model::Profiler() {
  Handle profiler = nullptr;
  if (library_.CompiledModelGetProfiler(compiled_, &profiler) || !profiler) {
    End(kBadLibrary, "The library was built without a profiler.");
  }
  return profiler;
}

// ------------------------------------------------------------------------------------------------ measurements

std::vector<double> Timed(Model& model, int runs) {
  std::vector<double> taken(static_cast<size_t>(runs));
  for (double& one : taken) {
    const double start = NowMs();
    model.Run();
    one = NowMs() - start;
  }
  return taken;
}

double Median(std::vector<double> values) {
  const size_t half = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<long>(half), values.end());
  const double upper = values[half];
  if (values.size() % 2) return upper;
  return (upper + *std::max_element(values.begin(), values.begin() + static_cast<long>(half))) / 2;
}

constexpr double kWindowMs = 30.0, kSteady = 0.02;
constexpr size_t kLeastWindow = 3;

bool IsSteady(const std::vector<double>& taken, size_t window) {
  if (taken.size() < 3 * window) return false;
  double low = 0, high = 0;
  for (size_t i = 0; i < 3; ++i) {
    const auto end = taken.end() - static_cast<long>(i * window);
    const double median = Median({end - static_cast<long>(window), end});
    low = i ? std::min(low, median) : median;
    high = i ? std::max(high, median) : median;
  }
  return high - low <= kSteady * low;
}

// Runs until the medians of the last three windows agree within 2 %, or until the time is over.
void WarmUp(Model& model, double longest_s) {
  g_phase = "warming up";
  const double start = NowMs();
  std::vector<double> taken;
  size_t window = kLeastWindow;
  while (true) {
    const std::vector<double> more = Timed(model, static_cast<int>(window));
    taken.insert(taken.end(), more.begin(), more.end());
    const double run_ms = Median(more), elapsed = NowMs() - start;
    window = std::max(kLeastWindow, static_cast<size_t>(kWindowMs / std::max(run_ms, 1e-6)) + 1);
    const bool steady = IsSteady(taken, window);
    if (steady || (elapsed >= 1e3 * longest_s && taken.size() >= 3 * kLeastWindow)) {
      Print(Format("{\"event\": \"warm\", \"runs\": %zu, \"duration_ms\": %.3f, \"steady\": %s, \"run_ms\": %.6f}",
                   taken.size(), elapsed, steady ? "true" : "false", run_ms));
      return;
    }
  }
}

// Times consecutive runs; a tenth as many go before them untimed, since another process had the caches.
void TimeBlock(Model& model, int runs, int index) {
  g_phase = "timing";
  model.Feed(static_cast<size_t>(index));
  Timed(model, runs / 10 + 1);
  const long before_khz = ClockKhz();
  const std::vector<double> taken = Timed(model, runs);
  const long after_khz = ClockKhz();
  std::string line = Format("{\"event\": \"block\", \"index\": %d, \"clock_khz\": [%ld, %ld], \"samples_ns\": [", index,
                            before_khz, after_khz);
  for (size_t i = 0; i < taken.size(); ++i) line += Format(i ? ", %.0f" : "%.0f", 1e6 * taken[i]);
  Print(line + "]}");
}

// Runs for a time without a break, for energy and sustained speed; a run starts every `every_ms` at the earliest.
void Sustain(Model& model, double seconds, double every_ms) {
  g_phase = "running on";
  const double start = NowMs(), end = start + 1e3 * seconds;
  double next = start, busy_ms = 0;
  long runs = 0;
  while (NowMs() < end) {
    const double began = NowMs();
    model.Run();
    busy_ms += NowMs() - began;
    ++runs;
    next += every_ms;
    const double wait_ms = next - NowMs();
    if (every_ms > 0 && wait_ms > 0) usleep(static_cast<useconds_t>(1e3 * wait_ms));
  }
  Print(Format("{\"event\": \"sustained\", \"runs\": %ld, \"duration_ms\": %.3f, \"busy_ms\": %.3f}", runs,
               NowMs() - start, busy_ms));
}

void Commands(Model& model) {
  char line[256];
  while (fgets(line, sizeof line, stdin)) {
    int runs = 0, index = 0;
    double seconds = 0, every_ms = 0;
    if (sscanf(line, "BLOCK %d %d", &runs, &index) == 2 && runs > 0 && index >= 0) {
      TimeBlock(model, runs, index);
    } else if (sscanf(line, "SUSTAIN %lf %lf", &seconds, &every_ms) == 2 && seconds > 0 && every_ms >= 0) {
      Sustain(model, seconds, every_ms);
    } else {
      line[strcspn(line, "\r\n")] = 0;
      End(kBadArgument, std::string("Unknown command '") + line + "'; see README.md.");
    }
  }
}

std::string Event(const ProfiledEvent& event) {
  return "{\"name\": " + Quoted(event.tag ? event.tag : "") +
         Format(", \"type\": %d, \"node\": %llu, \"start\": %llu, \"elapsed\": %llu}", event.type,
                static_cast<unsigned long long>(event.meta1), static_cast<unsigned long long>(event.start_us),
                static_cast<unsigned long long>(event.elapsed_us));
}

// Prints what the library's profiler has noted of one run, in microseconds or readings of the virtual clock.
void PrintProfile(Model& model, Handle profiler, int run) {
  const Library& library = model.library();
  int count = 0;
  library.GetNumProfilerEvents(profiler, &count);
  std::vector<ProfiledEvent> events(static_cast<size_t>(count));
  if (count) library.GetProfilerEvents(profiler, count, events.data());
  std::string line = Format("{\"event\": \"profile\", \"run\": %d, \"operations\": [", run);
  bool first = true;
  for (const ProfiledEvent& event : events) {
    if (event.type != kInvoke && event.type != kOperation && event.type != kDelegateOperation) continue;
    line += (first ? "" : ", ") + Event(event);
    first = false;
  }
  Print(line + "]}");
}

void Profile(Model& model, int runs) {
  g_phase = "profiling";
  const Library& library = model.library();
  Handle profiler = model.Profiler();
  for (int run = 0; run < runs; ++run) {
    library.ResetProfiler(profiler);
    library.StartProfiler(profiler);
    model.Run();
    library.StopProfiler(profiler);
    PrintProfile(model, profiler, run);
  }
}

// Marks runs for a counter of instructions: N as they are, then one with the profiler on its virtual clock.
void Count(Model& model, int runs) {
  g_phase = "counting";
  Timed(model, 1);
  for (int run = 0; run < runs; ++run) {
    Mark(kMarkBegin, static_cast<uint64_t>(run));
    model.Run();
    Mark(kMarkEnd, static_cast<uint64_t>(run));
  }
  const Library& library = model.library();
  Handle profiler = model.Profiler();
  for (int run = 0; run < 2; ++run) {  // the first one makes the profiler's buffers
    library.ResetProfiler(profiler);
    library.StartProfiler(profiler);
    g_virtual_clock = true;
    Mark(kMarkBegin, static_cast<uint64_t>(runs + run));
    model.Run();
    Mark(kMarkEnd, static_cast<uint64_t>(runs + run));
    g_virtual_clock = false;
    library.StopProfiler(profiler);
  }
  PrintProfile(model, profiler, runs + 1);
}

}  // namespace

int main(int count, char** arguments) {
  for (int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM}) signal(number, OnCrash);
  signal(SIGPIPE, SIG_DFL);
  const Options options = Parse(count, arguments);
  if (options.deadline_s > 0) alarm(static_cast<unsigned>(options.deadline_s));
  if (options.cpus) Pin(options.cpus);
  const double start = NowMs();
  Model model(options);
  const double loaded = NowMs();
  const int64_t pages_before = ResetPeak(), heap_before = HeapBytes();
  model.Open();
  const double opened = NowMs();
  FILE* outputs = options.outputs.empty() ? nullptr : fopen(options.outputs.c_str(), "wb");
  if (!options.outputs.empty() && !outputs) {
    End(kBadArgument, options.outputs + " cannot be written: " + strerror(errno) + ".");
  }
  g_phase = "running";
  model.Feed(0);
  const double fed = NowMs();
  model.Run();
  const double first_ms = NowMs() - fed;
  uint64_t digest = 14695981039346656037ULL;
  if (outputs) {
    digest = model.WriteOutputs(outputs, digest);
    for (size_t i = 1; i < model.batches(); ++i) {
      model.Feed(i);
      model.Run();
      digest = model.WriteOutputs(outputs, digest);
    }
    if (fclose(outputs)) End(kRunFailed, options.outputs + " cannot be written: " + strerror(errno) + ".");
    model.Feed(0);
  }
  Print(Format("{\"event\": \"opened\", \"runner\": %d, \"load_ms\": %.3f, \"init_ms\": %.3f,"
               " \"first_inference_ms\": %.6f, \"batches\": %zu, \"outputs_digest\": \"%016llx\", ",
               kProtocol, loaded - start, opened - loaded, first_ms, model.batches(),
               static_cast<unsigned long long>(digest)) +
        model.Description() + "}");
  if (options.memory) {
    for (int i = 0; i < 5; ++i) model.Run();
    Print(Format("{\"event\": \"memory\", \"peak_memory_bytes\": %lld, \"pss_bytes\": %lld, \"heap_bytes\": %lld}",
                 static_cast<long long>(std::max<int64_t>(0, PeakBytes() - pages_before)),
                 1024LL * KilobytesIn("/proc/self/smaps_rollup", "Pss:"),
                 static_cast<long long>(heap_before < 0 ? -1 : HeapBytes() - heap_before)));
    End(kDone);
  }
  if (options.count) Count(model, options.count);
  if (options.runs || options.blocks) WarmUp(model, options.warmup_s);
  if (options.runs) TimeBlock(model, options.runs, 0);
  if (options.blocks) Commands(model);
  if (options.profile) Profile(model, options.profile);
  End(kDone);
}
