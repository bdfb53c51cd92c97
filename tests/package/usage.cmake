# cmake -Dprogram=PROGRAM -P usage.cmake
# What examples/generate makes of wrong command lines: a sentence on stderr and the exit status 2.
function(expect status)
  execute_process(COMMAND "${program}" ${ARGN} RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE said)
  if(NOT result EQUAL status)
    message(SEND_ERROR "${ARGN}: exit status ${result}, expected ${status}: ${said}")
  endif()
  if(NOT status EQUAL 0 AND said STREQUAL "")
    message(SEND_ERROR "${ARGN}: nothing is said")
  endif()
endfunction()

expect(0 --help)
expect(2)
expect(2 nowhere)
expect(2 nowhere prompt --no-such-option)
expect(2 nowhere prompt --cache q4_0)
foreach(number -1 1.5 x 18446744073709551616)
  foreach(option --seed --max-new-tokens --top-k --context --chunk --threads)
    expect(2 nowhere prompt "${option}=${number}")
  endforeach()
endforeach()
# Where a model cannot run is said before it is loaded.
expect(1 nowhere prompt --device cuda)
# The largest seed is one; what is missing is the model.
expect(1 nowhere prompt --seed 18446744073709551615)
