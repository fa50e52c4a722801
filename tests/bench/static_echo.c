// The program that every exec contestant runs: line echo from 0 to 1.
#include "line_echo.h"

int main(void) {
  return line_echo(0, 1);
}
