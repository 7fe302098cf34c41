"""Training nano from nothing: pictures that know their truth, questions about them, three stages.

scenes      seed -> picture with objects, facts and what each patch shows
tasks       picture -> questions with answers (phrasings: how people ask them)
samples     seed -> pictures with conversations, mixed for each stage
tokenizer   questions and answers -> tokenizer.json
packing     samples -> rows of tokens
train       alignment, pretraining, supervised fine-tuning
suite       what it must have learnt: `eval --suite nano`
examples    the pictures in assets/examples

In a clone of the project: no part of the installed package, which imports nothing of it.
"""
