"""Methods: pure numpy and torch. This package knows no file, no dataset by name, no Ray and no metric."""
