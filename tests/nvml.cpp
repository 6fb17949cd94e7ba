// A stand-in for NVIDIA's driver library, with the signatures of nvml.h; what it tells comes from variables.
//   FAKE_NVML_CARDS     "name|MiB|capability|mig|processes;...", in the order of the bus; "" for none
//   FAKE_NVML_DRIVER    version;  FAKE_NVML_INIT  what initialization returns
//   FAKE_NVML_CLOCKS    "1980 1980 900": MHz, one after the other each time it is asked; the last one stays
//   FAKE_NVML_LOST      the card is lost from so many questions for its memory on
//   FAKE_NVML_SAMPLES   "pid,percent pid,percent";  FAKE_NVML_ENERGY_MJ;  FAKE_NVML_SLOWED_NS
//   FAKE_NVML_LOG       file that takes the worker's calls
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };
typedef unsigned long long Long;
struct Sample { unsigned pid; Long time_us; unsigned sm, memory, encoder, decoder; };
struct Memory { Long total, free, used; };
struct Process { unsigned pid; Long used; unsigned instance, compute; };
struct Violation { Long reference_us, time_ns; };
struct Card { char name[64]; unsigned mib, major, minor, mig, processes; };

static const char *var(const char *name, const char *otherwise) {
  const char *text = getenv(name);
  return text ? text : otherwise;
}

static std::vector<Card> &cards() {
  static std::vector<Card> found;
  static bool read = false;
  if (!read) {
    read = true;
    std::string text = var("FAKE_NVML_CARDS", "Invented|81920|9.0|0|0;Invented|81920|9.0|0|0;"
                                              "Invented|81920|9.0|0|0;Invented|81920|9.0|0|0");
    for (char *word = strtok(&text[0], ";"); word; word = strtok(0, ";")) {
      Card card;
      if (sscanf(word, "%63[^|]|%u|%u.%u|%u|%u", card.name, &card.mib, &card.major, &card.minor, &card.mig,
                 &card.processes) == 6)
        found.push_back(card);
    }
  }
  return found;
}

static int number(void *device) {  // a handle is 0x5eed0000 and the card's number; of an instance, 0x4160000
  Long value = (Long)device;
  return value >> 16 == 0x5eed && (value & 0xffff) < cards().size() ? int(value & 0xffff) : -1;
}

static int handle(int index, void **device) {
  if (index < 0 || index >= int(cards().size())) return 2;
  *device = (void *)(0x5eed0000ULL + index);
  return OK;
}

static void say(const char *what, Long value) {
  const char *path = getenv("FAKE_NVML_LOG");
  if (!path) return;
  FILE *log = fopen(path, "a");
  fprintf(log, "%s %llu\n", what, value);
  fclose(log);
}

static int text(char *to, unsigned size, const char *from) {
  snprintf(to, size, "%s", from);
  return OK;
}

extern "C" {
int nvmlInit_v2() { say("init", 0); return atoi(var("FAKE_NVML_INIT", "0")); }
int nvmlInitWithFlags(unsigned) { return atoi(var("FAKE_NVML_INIT", "0")); }
const char *nvmlErrorString(int) { return "an error of the stand-in"; }
int nvmlSystemGetDriverVersion(char *to, unsigned size) {
  return text(to, size, var("FAKE_NVML_DRIVER", "580.159.04"));
}
int nvmlDeviceGetCount_v2(unsigned *count) { *count = cards().size(); return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  say("handle", index);
  return handle(index, device);
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  unsigned index;
  if (sscanf(uuid, "GPU-invented-%u", &index) == 1) {
    say("uuid", index);
    return handle(index, device) ? NOT_FOUND : OK;
  }
  if (strcmp(uuid, "MIG-invented")) return NOT_FOUND;
  *device = (void *)0x4160000ULL;
  return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *instance, void **device) {
  return instance == (void *)0x4160000ULL ? handle(0, device) : NOT_SUPPORTED;
}
int nvmlDeviceGetName(void *device, char *to, unsigned size) { return text(to, size, cards()[number(device)].name); }
int nvmlDeviceGetUUID(void *device, char *to, unsigned size) {
  return text(to, size, ("GPU-invented-" + std::to_string(number(device))).c_str());
}
int nvmlDeviceGetMemoryInfo(void *device, Memory *memory) {
  static int asked = 0;
  if (getenv("FAKE_NVML_LOST") && asked++ >= atoi(getenv("FAKE_NVML_LOST"))) return LOST;
  memory->total = Long(cards()[number(device)].mib) << 20;
  memory->used = 0;
  memory->free = memory->total;
  return OK;
}
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
  *major = cards()[number(device)].major;
  *minor = cards()[number(device)].minor;
  return OK;
}
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
  if (number(device) < 0) return NOT_SUPPORTED;
  *current = *pending = cards()[number(device)].mig;
  return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, Process *processes) {
  unsigned there = cards()[number(device)].processes, room = *count;
  *count = there;
  if (there > room || (there && !processes)) return TOO_SMALL;
  for (unsigned i = 0; i < there; i++) processes[i] = {1000 + i, 1 << 30, ~0u, ~0u};
  return OK;
}
int nvmlDeviceGetClockInfo(void *, int, unsigned *mhz) {
  static std::string left = var("FAKE_NVML_CLOCKS", "1980");
  size_t space = left.find(' ');
  *mhz = atoi(left.c_str());
  if (space != std::string::npos) left = left.substr(space + 1);
  return OK;
}
int nvmlDeviceGetTemperature(void *, int, unsigned *celsius) { *celsius = 61; return OK; }
int nvmlDeviceGetPowerUsage(void *, unsigned *milliwatts) { *milliwatts = 125500; return OK; }
int nvmlDeviceGetViolationStatus(void *, int policy, Violation *violation) {
  static int asked = 0;
  if (policy != 1) return NOT_SUPPORTED;  // heat
  *violation = {0, asked++ * strtoull(var("FAKE_NVML_SLOWED_NS", "0"), 0, 10)};
  return OK;
}
int nvmlDeviceGetProcessUtilization(void *device, Sample *samples, unsigned *count, Long since) {
  if (number(device) < 0) return NOT_SUPPORTED;
  std::vector<Sample> found;
  std::string words = var("FAKE_NVML_SAMPLES", "");
  for (char *word = strtok(&words[0], " "); word; word = strtok(0, " ")) {
    unsigned pid, percent;
    if (sscanf(word, "%u,%u", &pid, &percent) == 2) found.push_back({pid, since + 1, percent, 99, 98, 97});
  }
  say(samples ? "samples" : "count", since);
  if (!samples || *count < found.size()) { *count = found.size(); return found.empty() ? NOT_FOUND : TOO_SMALL; }
  memcpy(samples, found.data(), found.size() * sizeof(Sample));
  *count = found.size();
  return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, Long *used_mj) {
  const char *text = getenv("FAKE_NVML_ENERGY_MJ");
  if (number(device) < 0 || !text) return NOT_SUPPORTED;
  *used_mj = strtoull(text, 0, 10);
  return OK;
}
}
