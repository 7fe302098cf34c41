"""Teaching a checkpoint one's own conversations.

layouts         what other trainers' data looks like -> messages (objects: boxes in them)
conversations   a file of messages -> batches with labels
finetune        the run: LoRA or every weight
keeping         what was learnt -> its folder, whatever happens
checkpoint      a model and its processor -> a folder that loads as any checkpoint
teach_boxes     the worked example of docs/finetuning.md
"""
