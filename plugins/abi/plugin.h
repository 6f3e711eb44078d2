/* The modelc plugin ABI: everything that crosses between modelc and a backend plugin.
 *
 * A plugin is a shared library that exports one symbol, `modelc_plugin_query`. It owns devices, memory, streams and
 * kernels; it never sees a model file, MLIR or a program. The host turns a program and a step into a flat array of
 * commands over buffers (`submit`); the meaning of every op and the order of its tensors is in `ops.md` beside this
 * file, the layout of cache pages in `cache.md`.
 *
 * Rules
 * - C99. Every struct begins with `struct_size`; new fields go at the end; readers test with MODELC_KNOWS. Those that
 *   travel as arrays (modelc_tensor, modelc_command, modelc_code_tensor) have none: they stay within a major version.
 * - Major versions must be equal. With minor versions apart, both sides use what both know; a host accepts a plugin
 *   from one minor version older to one newer at least.
 * - A function that can fail returns NULL or an error made by the host's `error_make`. Nothing throws across.
 * - Ownership: what `x_open`/`x_alloc`/`x_create`/`x_resolve` returns is released by its counterpart, in any order
 *   except that a device outlives what was made from it. Plugins are never unloaded.
 * - Threads: any thread may call device and buffer functions; one thread at a time uses a given stream.
 */
#ifndef MODELC_PLUGINS_ABI_PLUGIN_H_
#define MODELC_PLUGINS_ABI_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODELC_ABI_MAJOR 1u
#define MODELC_ABI_MINOR 5u

#define MODELC_EXPORT __attribute__((visibility("default")))

/* True when the struct `s` points at is large enough to hold `field`. */
#define MODELC_KNOWS(type, s, field) ((s)->struct_size >= offsetof(type, field) + sizeof((s)->field))

typedef struct modelc_error modelc_error;   /* NULL is success                                 */
typedef struct modelc_device modelc_device;
typedef struct modelc_buffer modelc_buffer;
typedef struct modelc_stream modelc_stream;
typedef struct modelc_kernel modelc_kernel;

/* absl::StatusCode's values. */
typedef enum modelc_code {
  MODELC_INVALID_ARGUMENT = 3,
  MODELC_NOT_FOUND = 5,
  MODELC_RESOURCE_EXHAUSTED = 8,
  MODELC_FAILED_PRECONDITION = 9,
  MODELC_UNIMPLEMENTED = 12,
  MODELC_INTERNAL = 13,
  MODELC_UNAVAILABLE = 14
} modelc_code;

typedef enum modelc_dtype {
  MODELC_F32 = 0,
  MODELC_BF16 = 1,
  MODELC_F8E4M3 = 2, /* OCP e4m3fn: no infinity, 0x7f and 0xff are NaN */
  MODELC_I32 = 3,
  MODELC_U8 = 4,
  /* Since 1.3. Weights alone, in groups of 128 columns that hold their own scales (ops.md); offered to kernels whose
   * manifest entry names them. */
  MODELC_INT8 = 5,
  MODELC_INT4 = 6
} modelc_dtype;

/* What the host gives a plugin; valid as long as the process. */
typedef struct modelc_host_api {
  uint32_t struct_size;
  uint32_t abi_major, abi_minor;
  /* Copies the message. */
  modelc_error* (*error_make)(modelc_code code, const char* message);
  void (*error_free)(modelc_error*);
  /* severity: 0 info, 1 warning, 2 error */
  void (*log)(int severity, const char* message);
} modelc_host_api;

typedef struct modelc_device_info {
  uint32_t struct_size;     /* in: room; out: bytes filled                                                   */
  const char* name;         /* "AMD EPYC 9B14, 2 threads, avx512_vnni"; lives as long as the device           */
  uint64_t memory_bytes;    /* memory the device has                                                         */
  uint32_t host_memory;     /* 1 when buffers are host memory: `buffer_wrap` works and pointers are shared    */
  uint32_t threads;         /* workers; 0 when it means nothing                                              */
} modelc_device_info;

typedef struct modelc_device_options {
  uint32_t struct_size;
  uint32_t threads;         /* 0: the plugin's choice                                                        */
} modelc_device_options;

/* A view of a buffer. Row-major, dense; rows of int8 and int4 are groups, as ops.md says. `scale` is set for f8e4m3
 * weights alone: float32 factors, one per 128 x 128 block of the last two dimensions, shape [..., ceil(N/128), ceil(K/128)]. A tensor an op may leave out is
 * passed with buffer == NULL. */
typedef struct modelc_tensor {
  modelc_buffer* buffer;
  uint64_t offset;          /* bytes */
  modelc_buffer* scale;
  uint64_t scale_offset;    /* bytes */
  uint32_t dtype;           /* modelc_dtype */
  uint32_t rank;            /* 0..4 */
  int64_t shape[4];
} modelc_tensor;

/* One launch: the tensors in the order of ops.md (inputs, then outputs). */
typedef struct modelc_command {
  modelc_kernel* kernel;
  const modelc_tensor* tensors;
  uint32_t n_tensors;
} modelc_command;

/* What generated code is given for each tensor, and how it is called (codegen.md). */
typedef struct modelc_code_tensor {
  void* data;               /* NULL for one that was left out */
  const float* scale;       /* block scales of a quantized weight, or NULL */
  int64_t shape[4];
} modelc_code_tensor;
typedef void (*modelc_code_fn)(const modelc_code_tensor* tensors, int64_t begin, int64_t end, void* scratch);

typedef struct modelc_plugin_api {
  uint32_t struct_size;     /* in: room the host has; out: bytes the plugin filled */
  uint32_t abi_major, abi_minor;
  const char* name;         /* "cpu"; lives as long as the library */
  const char* version;      /* the plugin's own */

  /* Devices that can be opened now; 0 is no error. */
  modelc_error* (*device_count)(uint32_t* out);
  modelc_error* (*device_open)(uint32_t ordinal, const modelc_device_options*, modelc_device** out);
  void (*device_close)(modelc_device*);
  modelc_error* (*device_info)(modelc_device*, modelc_device_info* out);
  /* The manifest as JSON (schema: manifest.md); lives as long as the device. */
  modelc_error* (*device_describe)(modelc_device*, const char** json);

  /* 64-byte aligned, zeroed; 0 bytes is allowed. */
  modelc_error* (*buffer_alloc)(modelc_device*, uint64_t bytes, modelc_buffer** out);
  /* A buffer over host memory the caller keeps alive and unchanged; UNIMPLEMENTED unless info.host_memory. */
  modelc_error* (*buffer_wrap)(modelc_device*, const void* data, uint64_t bytes, modelc_buffer** out);
  void (*buffer_free)(modelc_buffer*);
  /* Ordered with the stream's commands. Upload has read `src` when it returns; `dst` of a download is valid after
   * stream_sync. Ranges outside the buffer are INVALID_ARGUMENT. */
  modelc_error* (*buffer_upload)(modelc_stream*, modelc_buffer* dst, uint64_t offset, const void* src, uint64_t bytes);
  modelc_error* (*buffer_download)(modelc_stream*, const modelc_buffer* src, uint64_t offset, void* dst, uint64_t bytes);
  modelc_error* (*buffer_copy)(modelc_stream*, const modelc_buffer* src, uint64_t src_offset, modelc_buffer* dst,
                               uint64_t dst_offset, uint64_t bytes);

  modelc_error* (*stream_create)(modelc_device*, modelc_stream** out);
  void (*stream_free)(modelc_stream*);
  modelc_error* (*stream_sync)(modelc_stream*);

  /* Binds a kernel of the manifest to its static attributes, a JSON object (ops.md names them). */
  modelc_error* (*kernel_resolve)(modelc_device*, const char* name, const char* attributes_json, modelc_kernel** out);
  void (*kernel_free)(modelc_kernel*);

  /* Runs n commands in order on the stream; may return before they end. Checks dtypes, ranks and shapes before the
   * first runs: on an error none has run. Equal non-zero replay_key promises equal kernels, buffers and shapes. */
  modelc_error* (*submit)(modelc_stream*, const modelc_command* commands, size_t n, uint64_t replay_key);

  /* Bytes read from weights and caches by what was submitted since the stream was made or the counters were read
   * last; may be NULL. */
  modelc_error* (*stream_counters)(modelc_stream*, uint64_t* weight_bytes, uint64_t* cache_bytes);

  /* Since 1.1. Makes a kernel of code that modelc generated for the device's `codegen` (codegen.md); copies the image. May
   * be NULL in a plugin whose manifest says codegen "none". */
  modelc_error* (*kernel_load)(modelc_device*, const void* image, uint64_t bytes, const char* description_json,
                               modelc_kernel** out);
} modelc_plugin_api;

/* The only exported symbol. Fills *out up to the smaller of both struct sizes. */
MODELC_EXPORT modelc_error* modelc_plugin_query(const modelc_host_api* host, modelc_plugin_api* out);
typedef modelc_error* (*modelc_plugin_query_fn)(const modelc_host_api* host, modelc_plugin_api* out);

#ifdef __cplusplus
}
#endif
#endif /* MODELC_PLUGINS_ABI_PLUGIN_H_ */
