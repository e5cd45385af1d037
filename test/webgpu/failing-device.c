/*
 * A Vulkan layer that stands between the loader and the driver and makes a device fail when a test wants it to, as a card would: its queue is
 * lost once the file MOSARA_TEST_LOST could be taken away; while the file MOSARA_TEST_FULL is there, no memory can be had for buffers of more
 * bytes than the number in it. Everything else is passed on. Written without Vulkan's headers, which are not needed to run. Source: Vulkan
 * loader, "Loader and Layer Interface".
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int32_t Result;
typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *handle, const char *name);

enum { SUCCESS = 0, OUT_OF_DEVICE_MEMORY = -2, INITIALIZATION_FAILED = -3, DEVICE_LOST = -4 };
/*
 * Dawn puts buffers below 4 MiB together in memory that it has already, and would not ask for more. So those of some size are told to need that much
 * more than they do; what is not written takes no memory.
 */
enum { SMALL = 64 << 10, GROWTH = 4 << 20 };
/* VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO and …_DEVICE_…; VK_LAYER_LINK_INFO is 0. */
enum { LOADER_INSTANCE = 47, LOADER_DEVICE = 48, LINK_INFO = 0 };

struct InstanceLink {
  struct InstanceLink *next;
  GetProcAddr getInstanceProcAddr;
  GetProcAddr getPhysicalDeviceProcAddr;
};
struct DeviceLink {
  struct DeviceLink *next;
  GetProcAddr getInstanceProcAddr;
  GetProcAddr getDeviceProcAddr;
};
struct AllocateInfo {
  int32_t type;
  const void *next;
  uint64_t size;
};
struct Requirements {
  uint64_t size;
  uint64_t alignment;
  uint32_t memoryTypes;
};
struct LoaderInfo {
  int32_t type;
  const void *next;
  int32_t function;
  union {
    struct InstanceLink *instance;
    struct DeviceLink *device;
  } link;
};
/* The beginning of every structure that is passed in a chain. */
struct Chained {
  int32_t type;
  const void *next;
};

static GetProcAddr nextInstanceProc, nextDeviceProc;
static Result (*nextSubmit)(void *, uint32_t, const void *, uint64_t);
static Result (*nextAllocate)(void *, const void *, const void *, uint64_t *);
static void (*nextRequirements)(void *, uint64_t, struct Requirements *);
static int isLost;

static struct LoaderInfo *linkOf(const void *info, int32_t type) {
  for (const struct Chained *at = ((const struct Chained *)info)->next; at; at = at->next)
    if (at->type == type && ((const struct LoaderInfo *)at)->function == LINK_INFO) return (struct LoaderInfo *)at;
  return NULL;
}

static Result submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
  const char *path = getenv("MOSARA_TEST_LOST");
  if (path && unlink(path) == 0) isLost = 1;
  return isLost ? DEVICE_LOST : nextSubmit(queue, count, submits, fence);
}

static void requirements(void *device, uint64_t buffer, struct Requirements *needed) {
  nextRequirements(device, buffer, needed);
  if (needed->size > SMALL) needed->size += GROWTH;
}

static Result allocate(void *device, const struct AllocateInfo *info, const void *callbacks, uint64_t *memory) {
  const char *path = getenv("MOSARA_TEST_FULL");
  FILE *file = path ? fopen(path, "r") : NULL;
  unsigned long long most = UINT64_MAX;
  if (file) {
    if (fscanf(file, "%llu", &most) != 1) most = 0;
    fclose(file);
  }
  uint64_t size = info->size > GROWTH + SMALL ? info->size - GROWTH : info->size;
  return size > most ? OUT_OF_DEVICE_MEMORY : nextAllocate(device, info, callbacks, memory);
}

static Result createInstance(const void *info, const void *callbacks, void **instance) {
  struct LoaderInfo *at = linkOf(info, LOADER_INSTANCE);
  if (!at) return INITIALIZATION_FAILED;
  nextInstanceProc = at->link.instance->getInstanceProcAddr;
  at->link.instance = at->link.instance->next;
  Result (*create)(const void *, const void *, void **) = (void *)nextInstanceProc(NULL, "vkCreateInstance");
  return create(info, callbacks, instance);
}

static Result createDevice(void *physical, const void *info, const void *callbacks, void **device) {
  struct LoaderInfo *at = linkOf(info, LOADER_DEVICE);
  if (!at) return INITIALIZATION_FAILED;
  GetProcAddr instanceProc = at->link.device->getInstanceProcAddr;
  nextDeviceProc = at->link.device->getDeviceProcAddr;
  at->link.device = at->link.device->next;
  Result (*create)(void *, const void *, const void *, void **) = (void *)instanceProc(NULL, "vkCreateDevice");
  Result result = create(physical, info, callbacks, device);
  if (result != SUCCESS) return result;
  nextSubmit = (void *)nextDeviceProc(*device, "vkQueueSubmit");
  nextAllocate = (void *)nextDeviceProc(*device, "vkAllocateMemory");
  nextRequirements = (void *)nextDeviceProc(*device, "vkGetBufferMemoryRequirements");
  return SUCCESS;
}

/* What is done here in a device's place. */
static Function ownOf(const char *name) {
  if (strcmp(name, "vkQueueSubmit") == 0) return (Function)submit;
  if (strcmp(name, "vkAllocateMemory") == 0) return (Function)allocate;
  if (strcmp(name, "vkGetBufferMemoryRequirements") == 0) return (Function)requirements;
  return NULL;
}

Function mosaraDeviceProc(void *device, const char *name) {
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)mosaraDeviceProc;
  Function own = ownOf(name);
  return own ? own : nextDeviceProc(device, name);
}

Function mosaraInstanceProc(void *instance, const char *name) {
  if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (Function)mosaraInstanceProc;
  if (strcmp(name, "vkCreateInstance") == 0) return (Function)createInstance;
  if (strcmp(name, "vkCreateDevice") == 0) return (Function)createDevice;
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)mosaraDeviceProc;
  Function own = ownOf(name);
  if (own) return own;
  return nextInstanceProc ? nextInstanceProc(instance, name) : NULL;
}
