# Finds libtorch and defines the target `libtorch`, LIBTORCH_ROOT and SHIM_HAVE_GLOO.
include(CheckCXXSourceCompiles)

if(Torch_DIR)
  get_filename_component(LIBTORCH_ROOT "${Torch_DIR}/../../.." ABSOLUTE)
  set(libtorch_source "-DTorch_DIR=${Torch_DIR}")
elseif(DEFINED ENV{LIBTORCH} AND NOT "$ENV{LIBTORCH}" STREQUAL "")
  get_filename_component(LIBTORCH_ROOT "$ENV{LIBTORCH}" ABSOLUTE)
  set(libtorch_source "LIBTORCH=$ENV{LIBTORCH}")
elseif(EXISTS "${SHIM_CHECKED_ROOT}")
  set(LIBTORCH_ROOT ${SHIM_CHECKED_ROOT})
  set(libtorch_source "the last configuration")
else()
  find_program(PYTHON3 python3)
  if(PYTHON3)
    execute_process(
      COMMAND
        ${PYTHON3} -c
        "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE LIBTORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  set(libtorch_source "the torch package of ${PYTHON3}")
endif()

if(NOT LIBTORCH_ROOT)
  message(FATAL_ERROR "No libtorch found. Give -DTorch_DIR=<libtorch>/share/cmake/Torch, or set LIBTORCH to a libtorch folder or "
                      "to site-packages/torch, or install the torch package for python3.")
endif()

set(libtorch_version_header ${LIBTORCH_ROOT}/include/torch/headeronly/version.h)
find_library(libtorch_cpu_library torch_cpu PATHS ${LIBTORCH_ROOT}/lib NO_DEFAULT_PATH NO_CACHE)
if(NOT EXISTS ${libtorch_version_header} OR NOT libtorch_cpu_library)
  message(FATAL_ERROR "${LIBTORCH_ROOT} (from ${libtorch_source}) holds no libtorch 2.11 to 2.13. Expected "
                      "include/torch/headeronly/version.h and lib/libtorch_cpu.so. Name another folder in LIBTORCH.")
endif()

foreach(part MAJOR MINOR PATCH)
  file(STRINGS ${libtorch_version_header} line REGEX "^#define TORCH_VERSION_${part} [0-9]+")
  string(REGEX MATCH "[0-9]+$" version_${part} "${line}")
endforeach()
set(LIBTORCH_VERSION ${version_MAJOR}.${version_MINOR}.${version_PATCH})
if(LIBTORCH_VERSION VERSION_LESS 2.11 OR LIBTORCH_VERSION VERSION_GREATER_EQUAL 2.14)
  message(FATAL_ERROR "libtorch ${LIBTORCH_VERSION} at ${LIBTORCH_ROOT} (from ${libtorch_source}) is not supported. Expected a "
                      "version from 2.11 to 2.13. Name another libtorch in LIBTORCH.")
endif()

# libtorch.so loads the CUDA libraries if libtorch has them. The linker must keep it, although it has few symbols of its own.
set(libtorch_libraries)
foreach(name torch torch_cpu c10)
  list(APPEND libtorch_libraries ${LIBTORCH_ROOT}/lib/lib${name}.so)
endforeach()
add_library(libtorch INTERFACE)
target_include_directories(libtorch SYSTEM INTERFACE ${LIBTORCH_ROOT}/include ${LIBTORCH_ROOT}/include/torch/csrc/api/include)
target_link_libraries(libtorch INTERFACE ${libtorch_libraries})
target_link_options(libtorch INTERFACE LINKER:--no-as-needed)

set(CMAKE_REQUIRED_INCLUDES ${LIBTORCH_ROOT}/include ${LIBTORCH_ROOT}/include/torch/csrc/api/include)
set(CMAKE_REQUIRED_LIBRARIES ${libtorch_libraries})
# libtorch may lack libraries of its own, such as CUDA's on a machine without a GPU. A link against libtorch must not fail then.
set(libtorch_link_options LINKER:-rpath-link,${LIBTORCH_ROOT}/lib LINKER:--allow-shlib-undefined)
set(CMAKE_REQUIRED_LINK_OPTIONS ${libtorch_link_options})

# Checks again after a change of libtorch, because the cache holds the results for the old one.
foreach(check SHIM_LIBTORCH_LINKS SHIM_HAVE_GLOO)
  if(NOT "${SHIM_CHECKED_ROOT}" STREQUAL "${LIBTORCH_ROOT}")
    unset(${check} CACHE)
  endif()
endforeach()
set(SHIM_CHECKED_ROOT ${LIBTORCH_ROOT} CACHE INTERNAL "The libtorch that the cached checks used")

check_cxx_source_compiles("#include <c10/core/Device.h>
  int main() { return c10::Device(std::string()).index(); }" SHIM_LIBTORCH_LINKS)
if(NOT SHIM_LIBTORCH_LINKS)
  unset(SHIM_LIBTORCH_LINKS CACHE)  # the next run checks again, perhaps with another compiler
  message(FATAL_ERROR "${CMAKE_CXX_COMPILER} cannot compile and link a program with the libtorch at ${LIBTORCH_ROOT}. "
                      "libtorch needs a C++20 compiler with the C++11 ABI (g++ 11 or newer). Details: "
                      "${CMAKE_BINARY_DIR}/CMakeFiles/CMakeConfigureLog.yaml")
endif()

if(NOT EXISTS ${LIBTORCH_ROOT}/include/gloo/context.h)
  set(SHIM_GLOO_INCLUDES ${CMAKE_CURRENT_SOURCE_DIR}/shim/gloo)
endif()
list(PREPEND CMAKE_REQUIRED_INCLUDES ${SHIM_GLOO_INCLUDES})
set(CMAKE_REQUIRED_DEFINITIONS -DUSE_DISTRIBUTED -DUSE_C10D_GLOO)
check_cxx_source_compiles("#include <torch/csrc/distributed/c10d/FileStore.hpp>
  #include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
  int main() {
    auto store = c10::make_intrusive<c10d::FileStore>(std::string(), 1);
    auto options = c10d::ProcessGroupGloo::Options::create_default(std::chrono::milliseconds(1));
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, 0, 1, options)->getSize();
  }" SHIM_HAVE_GLOO)

message(STATUS "libtorch ${LIBTORCH_VERSION} at ${LIBTORCH_ROOT} (from ${libtorch_source})")
