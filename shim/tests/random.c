#include "check.h"

static void draw(ts_generator generator, float *out) {
  const ts_value source = {.kind = TS_GENERATOR, .as.generator = generator};
  ts_value values = CALL("aten::rand", "generator", integers((int64_t[]){4}, 1), source);
  OK(ts_tensor_copy_to_host(values.as.tensor, out, 4 * sizeof(float)));
  ts_value_free(&values);
}

/* Draws without a generator, as some models do. */
static void draw_without(float *out) {
  ts_value values = CALL("aten::rand", "", integers((int64_t[]){4}, 1));
  OK(ts_tensor_copy_to_host(values.as.tensor, out, 4 * sizeof(float)));
  ts_value_free(&values);
}

void test_random(void) {
  const ts_device cpu = {TS_CPU, -1};
  ts_generator first = NULL, second = NULL;
  OK(ts_generator_new(cpu, 7, &first));
  OK(ts_generator_new(cpu, 7, &second));
  float a[4], b[4], c[4];
  draw(first, a);
  draw(second, b);
  CHECK(memcmp(a, b, sizeof a) == 0); /* the same seed gives the same numbers */

  ts_tensor state = NULL;
  OK(ts_generator_state(first, &state));
  CHECK(ts_tensor_dtype(state) == TS_UINT8 && ts_tensor_count(state) > 16);
  draw(first, b);
  CHECK(memcmp(a, b, sizeof a) != 0); /* the state advances */
  OK(ts_generator_set_state(first, state));
  draw(first, c);
  CHECK(memcmp(b, c, sizeof b) == 0); /* the old state gives the old numbers */
  OK(ts_generator_set_seed(first, 7));
  draw(first, c);
  CHECK(memcmp(a, c, sizeof a) == 0);

  OK(ts_manual_seed(7));
  draw_without(b);
  draw_without(c);
  CHECK(memcmp(a, b, sizeof a) == 0 && memcmp(b, c, sizeof b) != 0); /* libtorch's default generator draws the same numbers */
  OK(ts_manual_seed(7));
  draw_without(c);
  CHECK(memcmp(a, c, sizeof a) == 0);

  ts_tensor wrong = vector((float[]){1}, 1);
  FAILS(ts_generator_set_state(first, wrong), TS_ERROR_TYPE, "ByteTensor");
  FAILS(ts_generator_new((ts_device){TS_CPU, 3}, 7, &second), TS_ERROR_VALUE, "no device cpu:3");
  ts_tensor_free(wrong);
  ts_tensor_free(state);
  ts_generator_free(first);
  ts_generator_free(second);
  ts_generator_free(NULL);
}
