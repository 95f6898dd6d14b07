"""Integers while training and after it: simulate what the file computes, and choose its grids."""
