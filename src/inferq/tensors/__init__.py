"""What the data of a job may be, and how it is written: for proxy, worker and client alike.

`signature` describes inputs and outputs, `data_validator` checks data against them, and `forms` tells the
forms of a payload apart; each form has a codec of its own. Nothing here needs ONNX Runtime or NumPy.
"""
