/*
 * A Vulkan layer that stands between the loader and the driver and makes a device fail when a test wants it to, as a card would: its queue is
 * lost once the file MOSARA_TEST_LOST could be taken away. Everything else is passed on. Written without Vulkan's headers, which are not
 * needed to run. Source: Vulkan loader, "Loader and Layer Interface".
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int32_t Result;
typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *handle, const char *name);

enum { SUCCESS = 0, INITIALIZATION_FAILED = -3, DEVICE_LOST = -4 };
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
  return SUCCESS;
}

Function mosaraDeviceProc(void *device, const char *name) {
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)mosaraDeviceProc;
  if (strcmp(name, "vkQueueSubmit") == 0) return (Function)submit;
  return nextDeviceProc(device, name);
}

Function mosaraInstanceProc(void *instance, const char *name) {
  if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (Function)mosaraInstanceProc;
  if (strcmp(name, "vkCreateInstance") == 0) return (Function)createInstance;
  if (strcmp(name, "vkCreateDevice") == 0) return (Function)createDevice;
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)mosaraDeviceProc;
  if (strcmp(name, "vkQueueSubmit") == 0) return (Function)submit;
  return nextInstanceProc ? nextInstanceProc(instance, name) : NULL;
}
