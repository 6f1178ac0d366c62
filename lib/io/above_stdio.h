// lib/io/above_stdio.h
//
// Descriptors 0 to 2 are the host's, also where it has closed them: what is printed to stderr goes
// into whatever has its number.

#pragma once

namespace ursula::io {

// `fd`, which we have just opened, or in its place a copy from 3 on, closed by exec. Below 0 and
// errno: as `fd` was, or there is no descriptor left.
int AboveStdio(int fd);

}  // namespace ursula::io
