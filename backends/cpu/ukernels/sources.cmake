# The matrix products, for ../CMakeLists.txt: kernels, and ukernels with an instruction set a file.
set(matmul_sources
  kernels/grouped_linear.cpp
  kernels/head_linear.cpp
  kernels/linear.cpp
  ukernels/matmul_portable.cpp)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND matmul_sources ukernels/matmul_avx2.cpp ukernels/matmul_avx512.cpp ukernels/matmul_avx512_vnni.cpp)
  set_source_files_properties(ukernels/matmul_avx2.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON COMPILE_OPTIONS "-mavx2;-mfma")
  set_source_files_properties(ukernels/matmul_avx512.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON
    COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mfma;-mprefer-vector-width=512")
  set_source_files_properties(ukernels/matmul_avx512_vnni.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON
    COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mfma;-mprefer-vector-width=512")
endif()
