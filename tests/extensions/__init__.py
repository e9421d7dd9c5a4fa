"""What a third party could add: one file each."""
