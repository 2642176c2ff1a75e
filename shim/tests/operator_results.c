#include "check.h"

static void test_several_tensors(void) {
  ts_tensor a = vector((float[]){3, 9, 1}, 3);
  ts_value arguments[2] = {tensor(a), integer(0)}, results[2];
  size_t produced = 0;
  OK(ts_operator_call(operator_named("aten::max", "dim"), arguments, 2, results, 2, &produced));
  CHECK(produced == 2 && results[0].kind == TS_TENSOR && results[1].kind == TS_TENSOR);
  EXPECT_FLOATS(results[0].as.tensor, 9);
  int64_t position = 0;
  CHECK(ts_tensor_dtype(results[1].as.tensor) == TS_INT64);
  OK(ts_tensor_copy_to_host(results[1].as.tensor, &position, 8));
  CHECK(position == 1);
  ts_value_free(&results[0]);
  ts_value_free(&results[1]);
  CHECK(results[0].kind == TS_NONE);
  ts_tensor_free(a);
}

static void test_lists(void) {
  ts_tensor a = vector((float[]){1, 2, 3, 4, 5}, 5);
  ts_value parts = CALL("aten::split", "Tensor", tensor(a), integer(2));
  CHECK(parts.kind == TS_TENSOR_LIST && parts.count == 3);
  EXPECT_FLOATS(parts.as.tensors[0], 1, 2);
  EXPECT_FLOATS(parts.as.tensors[2], 5);
  /* A handle that the caller takes out of a list stays valid after the list is freed. */
  ts_tensor taken = parts.as.tensors[1];
  parts.as.tensors[1] = NULL;
  ts_value_free(&parts);
  EXPECT_FLOATS(taken, 3, 4);
  ts_tensor_free(taken);
  ts_tensor_free(a);
}

static void test_plain_values(void) {
  ts_tensor a = vector((float[]){2.5f}, 1), whole = NULL;
  const int64_t seven = 7;
  OK(ts_tensor_from_data(&seven, 8, NULL, 0, TS_INT64, &whole));
  ts_value number = CALL("aten::_local_scalar_dense", "", tensor(a));
  CHECK(number.kind == TS_DOUBLE && number.as.real == 2.5);
  ts_value count = CALL("aten::item", "", tensor(whole));
  CHECK(count.kind == TS_INT && count.as.integer == 7);
  ts_value same = CALL("aten::equal", "", tensor(a), tensor(a));
  CHECK(same.kind == TS_BOOL && same.as.boolean);
  ts_value promoted = CALL("aten::result_type", "Tensor", tensor(a), tensor(whole));
  CHECK(promoted.kind == TS_DTYPE && promoted.as.integer == TS_FLOAT32);
  ts_value complex_number = CALL("aten::complex", "", tensor(a), tensor(a));
  CALL_FAILS("aten::item", "", TS_ERROR_TYPE, "does not support a result of type complex", complex_number);
  ts_value_free(&complex_number);
  ts_value length = CALL("aten::sym_size", "int", tensor(a), integer(0));
  CHECK(length.kind == TS_INT && length.as.integer == 1);
  ts_tensor_free(a);
  ts_tensor_free(whole);
}

static void test_in_place(void) {
  ts_tensor a = vector((float[]){1, 2}, 2), b = vector((float[]){10, 20}, 2);
  ts_value sum = CALL("aten::add_", "Tensor", tensor(a), tensor(b), real(-0.1));
  CHECK(ts_tensor_is_same(sum.as.tensor, a));
  EXPECT_FLOATS(a, 0, 0);
  ts_value_free(&sum);
  ts_value zero = CALL("aten::zero_", "", tensor(b));
  CHECK(ts_tensor_is_same(zero.as.tensor, b));
  ts_value_free(&zero);
  EXPECT_FLOATS(b, 0, 0);
  ts_tensor_free(a);
  ts_tensor_free(b);
}

/* An operator may return undefined tensors: here the gradients that the mask leaves out. */
static void test_undefined_tensor(void) {
  ts_tensor x = NULL, w = NULL;
  const float ones[4] = {1, 1, 1, 1};
  OK(ts_tensor_from_data(ones, 16, (int64_t[]){1, 1, 2, 2}, 4, TS_FLOAT32, &x));
  OK(ts_tensor_from_data(ones, 4, (int64_t[]){1, 1, 1, 1}, 4, TS_FLOAT32, &w));
  const int64_t one[2] = {1, 1}, nil[2] = {0, 0};
  const bool wanted[3] = {true, false, false};
  const ts_value arguments[11] = {tensor(x),
                                  tensor(x),
                                  tensor(w),
                                  none(),
                                  integers(one, 2),
                                  integers(nil, 2),
                                  integers(one, 2),
                                  boolean(false),
                                  integers(nil, 2),
                                  integer(1),
                                  {.kind = TS_BOOL_LIST, .count = 3, .as.booleans = wanted}};
  ts_value results[3];
  size_t produced = 0;
  OK(ts_operator_call(operator_named("aten::convolution_backward", ""), arguments, 11, results, 3, &produced));
  CHECK(produced == 3 && results[0].kind == TS_TENSOR && results[1].kind == TS_NONE && results[2].kind == TS_NONE);
  for (size_t i = 0; i < 3; i++) ts_value_free(&results[i]);
  ts_tensor_free(x);
  ts_tensor_free(w);
}

static void test_many_calls_leak_no_handle(void) {
  ts_tensor a = vector((float[]){1, 2}, 2);
  const int64_t before = ts_live_handles();
  for (int i = 0; i < 10000; i++) {
    ts_value sum = CALL("aten::add", "Tensor", tensor(a), tensor(a));
    ts_value parts = CALL("aten::split", "Tensor", sum, integer(1));
    ts_value_free(&parts);
    ts_value_free(&sum);
  }
  CHECK(ts_live_handles() == before);
  ts_tensor_free(a);
}

void test_operator_results(void) {
  test_several_tensors();
  test_lists();
  test_plain_values();
  test_in_place();
  test_undefined_tensor();
  test_many_calls_leak_no_handle();
  ts_value_free(NULL);
}
