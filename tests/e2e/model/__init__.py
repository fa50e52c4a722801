"""A model-based random test: sequences of steps against a real daemon, and after each step the daemon must be in the state that a
model written from the contract computes.

  configurations   the files that a daemon of this test is started with and reloads
  state            pure: the tree as the contract says it must be, and what each step does to it
  steps            pure: what can be asked; random sequences from a seed; steps as text
  world            a real daemon: carries a step out and observes what is there
  checks           pure: compares an observation with a model
  sequence         runs the steps of one sequence, one daemon for each
  shrink           pure: the shortest sequence that still fails in the same way
  known            the operations that meet known faults, which are left out until those are mended"""
