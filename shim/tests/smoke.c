/* Runs every group of the shim's C tests and checks that no group leaks a handle. */
#include "check.h"

int main(void) {
  static const struct {
    const char *name;
    void (*run)(void);
  } groups[] = {
      {"tensors", test_tensors},
      {"operator arguments", test_operator_arguments},
      {"operator results", test_operator_results},
      {"autograd", test_autograd},
      {"random", test_random},
      {"system", test_system},
      {"script", test_script},
      {"process groups", test_process_groups},
  };
  for (size_t i = 0; i < LENGTH(groups); i++) {
    const int64_t before = ts_live_handles();
    groups[i].run();
    if (ts_live_handles() != before) {
      fprintf(stderr, "%s: %lld handles leaked\n", groups[i].name, (long long)(ts_live_handles() - before));
      return 1;
    }
    printf("ok  %s\n", groups[i].name);
  }
  return 0;
}
