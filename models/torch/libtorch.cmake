# Imported targets of our own for LibTorch: petit_libtorch. Its CMake package asks for a CUDA toolkit; these do not.
#
# A LibTorch of the user's own (CMAKE_PREFIX_PATH) wins; otherwise the one below PETIT_DEPS. Only libtorch_cpu and
# libc10 are linked: CUDA's kernels are loaded at run time where a CUDA device is asked for.
set(site ${PETIT_DEPS}/site)
find_library(PETIT_TORCH_CPU torch_cpu HINTS ${CMAKE_PREFIX_PATH} PATH_SUFFIXES lib NO_DEFAULT_PATH)
if(NOT PETIT_TORCH_CPU)
  find_library(PETIT_TORCH_CPU torch_cpu PATHS ${site}/torch/lib NO_DEFAULT_PATH)
endif()
if(NOT PETIT_TORCH_CPU)
  message(FATAL_ERROR "LibTorch not found below ${site}: run ./dev deps, or name yours in CMAKE_PREFIX_PATH")
endif()

get_filename_component(torch_lib ${PETIT_TORCH_CPU} DIRECTORY)
get_filename_component(torch_root ${torch_lib} DIRECTORY)
# LibTorch's wheels and archives bring the OpenMP runtime that they were built with. It must be the process's only one,
# so our own parallel code is linked with it too; a LibTorch without one uses the system's.
file(GLOB torch_gomp ${torch_lib}/libgomp*.so*)
if(NOT torch_gomp)
  set(torch_gomp gomp)
endif()

add_library(petit_libtorch INTERFACE)
target_include_directories(petit_libtorch SYSTEM INTERFACE
  ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
target_compile_definitions(petit_libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(petit_libtorch INTERFACE
  ${torch_lib}/libtorch_cpu.so ${torch_lib}/libc10.so ${torch_gomp} ${CMAKE_DL_LIBS})
# The libraries find CUDA's runtime and each other by run paths of their own.
target_link_options(petit_libtorch INTERFACE "LINKER:-rpath,${torch_lib}" "LINKER:-rpath-link,${torch_lib}")
