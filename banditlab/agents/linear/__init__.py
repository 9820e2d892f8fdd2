"""Linear bandits: the mean reward is linear in the features of an arm."""
