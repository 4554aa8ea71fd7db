"""Files of boosted trees, read by Python and held within bounds before a library written in C++ sees a byte of them."""
