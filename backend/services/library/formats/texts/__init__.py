"""Running text: sections under headings, cut into passages."""
