//! Text from outside, made safe.
