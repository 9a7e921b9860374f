/* A library of one custom operator for the tests: `Twice` of the domain `test.inferq`, FP32 of any shape, doubled.
 *
 * ONNX Runtime's packages carry no header. Its C API is a table of functions whose order never changes, and what is
 * needed of it is declared here. `DOMAIN` and `FACTOR` may be given to the compiler.
 */
#include <stddef.h>
#include <stdint.h>

#ifndef DOMAIN
#define DOMAIN "test.inferq"
#endif
#ifndef FACTOR
#define FACTOR 2
#endif

enum { /* positions in the table */
  CREATE_DOMAIN = 26,
  ADD_OPERATOR = 27,
  ADD_DOMAIN = 28,
  GET_DATA = 51,
  COUNT_AXES = 61,
  GET_SHAPE = 62,
  COUNT_VALUES = 64,
  GET_TYPE = 65,
  GET_INPUT = 90,
  GET_OUTPUT = 91,
  RELEASE_TYPE = 99
};

#define VERSION 8 /* of the API: the first with operators of this many functions */
#define FLOAT 1
#define CALL(position, ...) ((void *(*)())api[position])(__VA_ARGS__)

typedef struct {
  void *const *(*get_api)(uint32_t version);
} Base;

static void *const *api;

static void *create_kernel(const void *operator) { return (void *)operator; }
static const char *get_name(const void *operator) { return "Twice"; }
static const char *get_provider(const void *operator) { return NULL; }
static int get_type(const void *operator, size_t index) { return FLOAT; }
static size_t count_values(const void *operator) { return 1; }
static int is_optional(const void *operator, size_t index) { return 0; }
static void destroy_kernel(void *kernel) {}

static void compute(void *kernel, void *context) {
  void *input, *output, *type;
  int64_t shape[8];
  size_t axes, values;
  float *from, *to;

  CALL(GET_INPUT, context, (size_t)0, &input);
  CALL(GET_TYPE, input, &type);
  CALL(COUNT_AXES, type, &axes);
  CALL(GET_SHAPE, type, shape, axes);
  CALL(COUNT_VALUES, type, &values);
  CALL(RELEASE_TYPE, type);
  CALL(GET_OUTPUT, context, (size_t)0, shape, axes, &output);
  CALL(GET_DATA, input, &from);
  CALL(GET_DATA, output, &to);
  for (size_t value = 0; value < values; value++) to[value] = FACTOR * from[value];
}

static struct {
  uint32_t version;
  void *functions[25]; /* those of later versions of the API stay empty */
} twice = {VERSION,
           {create_kernel, get_name, get_provider, get_type, count_values, get_type, count_values, compute,
            destroy_kernel, is_optional, is_optional}};

void *RegisterCustomOps(void *options, const Base *base) {
  void *domain, *error;

  api = base->get_api(VERSION);
  error = CALL(CREATE_DOMAIN, DOMAIN, &domain);
  if (!error) error = CALL(ADD_OPERATOR, domain, &twice);
  return error ? error : CALL(ADD_DOMAIN, options, domain);
}
