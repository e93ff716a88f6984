"""The migration itself: copy, replay, sweep, verify, cutover and reverse, conducted by `conductor`."""
