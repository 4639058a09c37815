"""Stacks: several views of the music, each a recipe of its own, joined by a small classifier.

``slices`` cuts one view's examples out of the rows that all share; ``joiner`` weighs the views against each other; ``answer``
predicts; ``fitting`` trains, with inner folds, so that the joiner sees answers to tracks that no view had learnt.

Sources: D. Wolpert, "Stacked generalization" (1992); L. Breiman, "Stacked regressions" (1996), for weights that are not
negative; the product of experts with exponents is the logarithmic opinion pool (C. Genest, J. Zidek, 1986).
"""
