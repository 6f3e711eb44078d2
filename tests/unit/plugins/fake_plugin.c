/* A plugin with memory and streams but no kernels, in C99: proves the ABI needs no C++. FAKE_… definitions make it old,
 * new or broken in one way each. */
#include <stdlib.h>
#include <string.h>

#include "plugins/abi/plugin.h"

#ifndef FAKE_MAJOR
#define FAKE_MAJOR MODELC_ABI_MAJOR
#endif
#ifndef FAKE_MINOR
#define FAKE_MINOR MODELC_ABI_MINOR
#endif
#ifndef FAKE_DEVICES
#define FAKE_DEVICES 1
#endif
#ifndef FAKE_NAME
#define FAKE_NAME "fake"
#endif

struct modelc_device {
  int ordinal;
};
struct modelc_buffer {
  char* data;
  uint64_t bytes;
};
struct modelc_stream {
  modelc_device* device;
};

static const modelc_host_api* host;

#ifndef FAKE_NO_SYMBOL
static modelc_error* fail(const char* message) { return host->error_make(MODELC_UNAVAILABLE, message); }

static modelc_error* device_count(uint32_t* out) {
#ifdef FAKE_COUNT_FAILS
  (void)out;
  return fail("the driver does not answer");
#else
  *out = FAKE_DEVICES;
  return NULL;
#endif
}

static modelc_error* device_open(uint32_t ordinal, const modelc_device_options* options, modelc_device** out) {
  (void)options;
  if (ordinal >= FAKE_DEVICES) return fail("no such device");
#ifdef FAKE_OPEN_FAILS
  (void)out;
  return host->error_make((modelc_code)99, NULL); /* an unknown code and no message */
#elif defined(FAKE_OPEN_GIVES_NOTHING)
  (void)out;
  return NULL;
#else
  *out = malloc(sizeof(modelc_device));
  (*out)->ordinal = (int)ordinal;
  return NULL;
#endif
}

static void device_close(modelc_device* device) { free(device); }

static modelc_error* device_info(modelc_device* device, modelc_device_info* out) {
  modelc_device_info info = {0};
  (void)device;
  info.struct_size = out->struct_size < sizeof info ? out->struct_size : (uint32_t)sizeof info;
  info.name = "fake device";
  info.memory_bytes = 1u << 20;
  info.host_memory = 1;
  memcpy(out, &info, info.struct_size);
  return NULL;
}

static modelc_error* device_describe(modelc_device* device, const char** json) {
  (void)device;
#ifdef FAKE_MANIFEST
  *json = FAKE_MANIFEST;
#else
  *json = "{\"schema\": 1, \"kernels\": []}";
#endif
  return NULL;
}

static modelc_error* buffer_alloc(modelc_device* device, uint64_t bytes, modelc_buffer** out) {
  (void)device;
  if (bytes > 1u << 30) return host->error_make(MODELC_RESOURCE_EXHAUSTED, "too large");
  *out = malloc(sizeof(modelc_buffer));
  (*out)->data = calloc(1, bytes + 1);
  (*out)->bytes = bytes;
  return NULL;
}

static modelc_error* buffer_wrap(modelc_device* device, const void* data, uint64_t bytes, modelc_buffer** out) {
  modelc_error* error = buffer_alloc(device, bytes, out);
  if (error == NULL) memcpy((*out)->data, data, bytes);
  return error;
}

static void buffer_free(modelc_buffer* buffer) {
  free(buffer->data);
  free(buffer);
}

static modelc_error* check_range(const modelc_buffer* buffer, uint64_t offset, uint64_t bytes) {
  return offset > buffer->bytes || bytes > buffer->bytes - offset ? fail("outside the buffer") : NULL;
}

static modelc_error* buffer_upload(modelc_stream* s, modelc_buffer* dst, uint64_t offset, const void* src,
                                   uint64_t bytes) {
  modelc_error* error = check_range(dst, offset, bytes);
  (void)s;
  if (error == NULL) memcpy(dst->data + offset, src, bytes);
  return error;
}

static modelc_error* buffer_download(modelc_stream* s, const modelc_buffer* src, uint64_t offset, void* dst,
                                     uint64_t bytes) {
  modelc_error* error = check_range(src, offset, bytes);
  (void)s;
  if (error == NULL) memcpy(dst, src->data + offset, bytes);
  return error;
}

static modelc_error* buffer_copy(modelc_stream* s, const modelc_buffer* src, uint64_t src_offset, modelc_buffer* dst,
                                 uint64_t dst_offset, uint64_t bytes) {
  modelc_error* error = check_range(src, src_offset, bytes);
  if (error == NULL) error = check_range(dst, dst_offset, bytes);
  (void)s;
  if (error == NULL) memmove(dst->data + dst_offset, src->data + src_offset, bytes);
  return error;
}

static modelc_error* stream_create(modelc_device* device, modelc_stream** out) {
  *out = malloc(sizeof(modelc_stream));
  (*out)->device = device;
  return NULL;
}

static void stream_free(modelc_stream* stream) { free(stream); }

#ifndef FAKE_NO_SYNC
static modelc_error* stream_sync(modelc_stream* stream) {
  (void)stream;
  return NULL;
}
#endif

static modelc_error* kernel_resolve(modelc_device* device, const char* name, const char* attributes,
                                    modelc_kernel** out) {
  (void)device, (void)name, (void)attributes, (void)out;
  return host->error_make(MODELC_NOT_FOUND, "the fake has no kernels");
}

static void kernel_free(modelc_kernel* kernel) { (void)kernel; }

static modelc_error* submit(modelc_stream* stream, const modelc_command* commands, size_t n, uint64_t replay_key) {
  (void)stream, (void)commands, (void)replay_key;
  return n == 0 ? NULL : fail("the fake has no kernels");
}

static modelc_error* stream_counters(modelc_stream* stream, uint64_t* weight_bytes, uint64_t* cache_bytes) {
  (void)stream;
  *weight_bytes = 7;
  *cache_bytes = 8;
  return NULL;
}

/* What a plugin of the next minor version knows. */
typedef struct newer_api {
  modelc_plugin_api known;
  modelc_error* (*from_the_future)(void);
} newer_api;

static modelc_error* from_the_future(void) { return NULL; }

#ifdef FAKE_OLDER
/* As a plugin knows the struct that was built before its last, optional, functions were added. */
#define FAKE_SIZE offsetof(modelc_plugin_api, stream_counters)
#elif defined(FAKE_TINY)
#define FAKE_SIZE sizeof(uint32_t)
#else
#define FAKE_SIZE sizeof(newer_api)
#endif

modelc_error* modelc_plugin_query(const modelc_host_api* asking, modelc_plugin_api* out) {
  newer_api api = {{0}, 0};
  const uint32_t room = out->struct_size;
  host = asking;
#ifdef FAKE_QUERY_FAILS
  return host->error_make(MODELC_FAILED_PRECONDITION, "the driver is too old");
#endif
  api.known.abi_major = FAKE_MAJOR;
  api.known.abi_minor = FAKE_MINOR;
#ifndef FAKE_NO_NAME
  api.known.name = FAKE_NAME;
#endif
  api.known.version = "1.2.3";
  api.known.device_count = device_count;
  api.known.device_open = device_open;
  api.known.device_close = device_close;
  api.known.device_info = device_info;
  api.known.device_describe = device_describe;
  api.known.buffer_alloc = buffer_alloc;
  api.known.buffer_wrap = buffer_wrap;
  api.known.buffer_free = buffer_free;
  api.known.buffer_upload = buffer_upload;
  api.known.buffer_download = buffer_download;
  api.known.buffer_copy = buffer_copy;
  api.known.stream_create = stream_create;
  api.known.stream_free = stream_free;
#ifndef FAKE_NO_SYNC
  api.known.stream_sync = stream_sync;
#endif
  api.known.kernel_resolve = kernel_resolve;
  api.known.kernel_free = kernel_free;
  api.known.submit = submit;
  api.known.stream_counters = stream_counters;
  api.from_the_future = from_the_future;
  api.known.struct_size = FAKE_SIZE < room ? (uint32_t)FAKE_SIZE : room;
  memcpy(out, &api, api.known.struct_size);
#ifdef FAKE_OVERSTATES
  out->struct_size = (uint32_t)sizeof(newer_api); /* its own size instead of what it filled */
#endif
  return NULL;
}
#else
MODELC_EXPORT int not_a_plugin(void) { return host == NULL; }
#endif
