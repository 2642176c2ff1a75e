/* SwiftPM builds a C target only if it has a source file. This file makes the target carry the linker settings of the shim. */
#include "torch_shim.h"
