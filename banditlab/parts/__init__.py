"""What algorithms share: index policies, weights, regressions, designs, noise."""
