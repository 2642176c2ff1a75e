#include "check.h"

static ts_tensor variable(const float *data, int64_t count) {
  ts_tensor t = vector(data, count);
  OK(ts_tensor_set_requires_grad(t, true));
  return t;
}

/* d/dx sum(x^3) = 3x^2. The second derivative is 6x and needs create_graph. */
static void test_gradient(void) {
  ts_tensor x = variable((float[]){1, -2, 3}, 3), unused = variable((float[]){5}, 1);
  CHECK(ts_tensor_requires_grad(x) && ts_tensor_is_leaf(x));
  ts_value cube = CALL("aten::pow", "Tensor_Scalar", tensor(x), integer(3));
  CHECK(ts_tensor_requires_grad(cube.as.tensor) && !ts_tensor_is_leaf(cube.as.tensor));
  ts_value sum = CALL("aten::sum", "", cube);
  ts_tensor first = NULL, second = NULL, kept = NULL;
  OK(ts_gradient(&sum.as.tensor, 1, &x, 1, NULL, true, true, false, &first));
  EXPECT_FLOATS(first, 3, 12, 27);
  ts_tensor slot = NULL;
  OK(ts_gradient(&first, 1, &x, 1, &slot, true, false, false, &second)); /* an empty slot means ones */
  EXPECT_FLOATS(second, 6, -12, 18);
  OK(ts_tensor_grad(x, &kept));
  CHECK(kept == NULL); /* ts_gradient does not add to the gradient */

  ts_tensor inputs[2] = {x, unused}, gradients[2] = {NULL, NULL};
  FAILS(ts_gradient(&sum.as.tensor, 1, inputs, 2, NULL, true, false, false, gradients), TS_ERROR_RUNTIME, "not have been used");
  CHECK(gradients[0] == NULL);
  OK(ts_gradient(&sum.as.tensor, 1, inputs, 2, NULL, true, false, true, gradients));
  CHECK(gradients[0] != NULL && gradients[1] == NULL);
  FAILS(ts_gradient(&cube.as.tensor, 1, &x, 1, NULL, true, false, false, &second), TS_ERROR_RUNTIME, "scalar outputs");
  FAILS(ts_gradient(NULL, 0, &x, 1, NULL, true, false, false, &second), TS_ERROR_VALUE, "no outputs given");

  ts_tensor_free(gradients[0]);
  ts_tensor_free(first);
  ts_tensor_free(second);
  ts_value_free(&sum);
  ts_value_free(&cube);
  ts_tensor_free(x);
  ts_tensor_free(unused);
}

static void test_backward(void) {
  ts_tensor x = variable((float[]){1, 2}, 2), weight = vector((float[]){10, 1}, 2), grad = NULL;
  ts_value square = CALL("aten::mul", "Tensor", tensor(x), tensor(x));
  OK(ts_backward(&square.as.tensor, 1, &weight, true, false));
  OK(ts_tensor_grad(x, &grad));
  EXPECT_FLOATS(grad, 20, 4);
  ts_tensor_free(grad);
  OK(ts_backward(&square.as.tensor, 1, &weight, false, false)); /* adds to the gradient */
  OK(ts_tensor_grad(x, &grad));
  EXPECT_FLOATS(grad, 40, 8);
  ts_tensor_free(grad);
  FAILS(ts_backward(&square.as.tensor, 1, &weight, false, false), TS_ERROR_RUNTIME, "backward through the graph a second time");

  OK(ts_tensor_set_grad(x, NULL));
  OK(ts_tensor_grad(x, &grad));
  CHECK(grad == NULL);
  OK(ts_tensor_set_grad(x, weight));
  OK(ts_tensor_grad(x, &grad));
  CHECK(ts_tensor_is_same(grad, weight));
  ts_tensor_free(grad);
  ts_tensor long_one = vector((float[]){1, 2, 3}, 3);
  FAILS(ts_tensor_set_grad(x, long_one), TS_ERROR_VALUE, "[3] on cpu, but its tensor");
  OK(ts_tensor_grad(square.as.tensor, &grad));
  CHECK(grad == NULL);
  ts_tensor_free(long_one);
  ts_value_free(&square);
  ts_tensor_free(weight);
  ts_tensor_free(x);
}

static void test_modes(void) {
  ts_tensor x = variable((float[]){1, 2}, 2);
  CHECK(ts_grad_mode() && ts_grad_mode_set(false) && !ts_grad_mode());
  ts_value y = CALL("aten::mul", "Tensor", tensor(x), tensor(x));
  CHECK(!ts_tensor_requires_grad(y.as.tensor));
  CHECK(!ts_grad_mode_set(true) && ts_grad_mode());
  ts_value_free(&y);
  y = CALL("aten::mul", "Tensor", tensor(x), tensor(x));
  FAILS(ts_tensor_set_requires_grad(y.as.tensor, false), TS_ERROR_RUNTIME, "leaf");
  ts_value_free(&y);

  ts_tensor a = NULL;
  OK(ts_tensor_from_data((float[]){1, 2, 3, 4}, 16, (int64_t[]){2, 2}, 2, TS_FLOAT32, &a));
  OK(ts_autocast_set(TS_CPU, true, TS_BFLOAT16));
  ts_value half = CALL("aten::mm", "", tensor(a), tensor(a));
  CHECK(ts_tensor_dtype(half.as.tensor) == TS_BFLOAT16);
  OK(ts_autocast_set(TS_CPU, false, TS_BFLOAT16));
  ts_value full = CALL("aten::mm", "", tensor(a), tensor(a));
  EXPECT_FLOATS(full.as.tensor, 7, 10, 15, 22);
  FAILS(ts_autocast_set(9, true, TS_BFLOAT16), TS_ERROR_VALUE, "device type 9");
  ts_value_free(&half);
  ts_value_free(&full);
  ts_tensor_free(a);
  ts_tensor_free(x);
}

void test_autograd(void) {
  test_gradient();
  test_backward();
  test_modes();
}
