/* SwiftPM builds a C target only when it holds a source file; this one exists to carry the linker settings of the shim. */
#include "torch_shim.h"
