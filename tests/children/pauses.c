// Whatever it is asked: nothing comes.
#include <unistd.h>

int main(void) {
  pause();
  return 0;
}
