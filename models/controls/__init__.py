"""Controls that every comparison carries, one file each: from the hopeless to the bar."""
