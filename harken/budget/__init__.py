"""A training within a given time: what fits is decided before it begins, said, and corrected as it goes on.

``duration`` reads and writes times; ``plan`` decides, from costs alone; ``measure`` finds the costs on this machine; ``watch``
keeps the time, over a kill too; ``keeping`` holds the single trainings of a stack to what is left; ``within`` puts it together
for :func:`harken.train.train`.
"""
