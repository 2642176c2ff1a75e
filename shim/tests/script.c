/* Tests TorchScript modules. fixtures/make_scripts.py makes the archives. */
#include "check.h"

static const ts_device cpu = {TS_CPU, -1};

static size_t read_fixture(const char *name, char *out, size_t capacity) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", FIXTURES, name);
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  const size_t bytes = fread(out, 1, capacity, file);
  CHECK(bytes > 0 && bytes < capacity);
  fclose(file);
  return bytes;
}

static void test_linear(void) {
  char data[1 << 14];
  ts_script module = NULL, frozen = NULL;
  OK(ts_script_load(data, read_fixture("linear.pt", data, sizeof data), cpu, &module));
  memset(data, 0xff, sizeof data); /* the module must not use the buffer any longer */

  ts_tensor x = NULL, y = NULL, gradient = NULL;
  OK(ts_tensor_from_data((float[]){1, 1, 1}, 12, (int64_t[]){1, 3}, 2, TS_FLOAT32, &x));
  OK(ts_tensor_set_requires_grad(x, true));
  OK(ts_script_forward(module, x, &y));
  EXPECT_FLOATS(y, 13, 29);
  ts_value sum = CALL("aten::sum", "", tensor(y));
  OK(ts_gradient(&sum.as.tensor, 1, &x, 1, NULL, false, false, false, &gradient));
  EXPECT_FLOATS(gradient, 10, 14, 18);
  ts_tensor_free(y);

  size_t parameters = 0, buffers = 0;
  OK(ts_script_state_count(module, &parameters, &buffers));
  CHECK(parameters == 2 && buffers == 1);
  static const char *const names[3] = {"fc.weight", "fc.bias", "scale"};
  for (size_t i = 0; i < 3; i++) {
    const char *name = NULL;
    ts_tensor value = NULL;
    OK(ts_script_state(module, i, &name, &value));
    CHECK(strcmp(name, names[i]) == 0 && ts_tensor_requires_grad(value) == (i < 2));
    ts_tensor_free(value);
  }
  const char *name = NULL;
  ts_tensor value = NULL;
  FAILS(ts_script_state(module, 3, &name, &value), TS_ERROR_INDEX, "there is no state 3 in a module with 3");
  CHECK(name == NULL && value == NULL);

  CHECK(ts_script_is_training(module));
  FAILS(ts_script_freeze(module, &frozen), TS_ERROR_VALUE, "evaluation mode");
  OK(ts_script_set_training(module, false));
  CHECK(!ts_script_is_training(module));
  OK(ts_script_freeze(module, &frozen));
  OK(ts_script_forward(frozen, x, &y));
  EXPECT_FLOATS(y, 13, 29);
  OK(ts_script_to_device(module, cpu));
  FAILS(ts_script_to_device(module, (ts_device){TS_CPU, 4}), TS_ERROR_VALUE, "no device cpu:4");

  ts_tensor narrow = vector((float[]){1}, 1), refused = NULL;
  FAILS(ts_script_forward(module, narrow, &refused), TS_ERROR_RUNTIME, "mat1 and mat2");
  CHECK(refused == NULL);
  ts_tensor_free(narrow);
  ts_tensor_free(y);
  ts_tensor_free(gradient);
  ts_value_free(&sum);
  ts_tensor_free(x);
  ts_script_free(frozen);
  ts_script_free(module);
}

static void test_pair(void) {
  char data[1 << 14];
  ts_script module = NULL;
  OK(ts_script_load(data, read_fixture("pair.pt", data, sizeof data), cpu, &module));
  ts_tensor x = vector((float[]){1}, 1), y = NULL;
  FAILS(ts_script_forward(module, x, &y), TS_ERROR_TYPE, "forward returned Tuple[Tensor, Tensor]; expected one tensor");
  ts_tensor_free(x);
  ts_script_free(module);
}

/* Loading must fail, and its message must be one line. */
static void refuse(const void *data, size_t bytes, const char *text) {
  ts_script module = NULL;
  FAILS(ts_script_load(data, bytes, cpu, &module), TS_ERROR_IO, text);
  CHECK(module == NULL && strchr(ts_error_message(), '\n') == NULL);
}

static void test_garbage(void) {
  char data[1 << 14];
  const size_t bytes = read_fixture("linear.pt", data, sizeof data);
  refuse("", 0, "not a zip archive");
  refuse("not a module at all", 19, "not a zip archive");
  refuse("PK\3\4 and then nothing of the kind", 33, "not a TorchScript module: ");
  for (size_t length = 4; length < bytes; length += 97) refuse(data, length, "not a TorchScript module: ");
  ts_script_free(NULL);
}

void test_script(void) {
  test_linear();
  test_pair();
  test_garbage();
}
