"""What a person looks at when a training has ended."""
