"""The codec: JSON bytes to attrs instances and back, without coercion."""

from plastiq_async._codec.decode import api_converter as api_converter
from plastiq_async._codec.decode import decode_json as decode_json
from plastiq_async._codec.decode import structure as structure
from plastiq_async._codec.decode import structure_result as structure_result
from plastiq_async._codec.encode import encode as encode
from plastiq_async._codec.fields import NOT_EMPTY as NOT_EMPTY
from plastiq_async._codec.fields import NOT_ON_WIRE as NOT_ON_WIRE
from plastiq_async._codec.fields import REQUIRED as REQUIRED
from plastiq_async._codec.fields import TYPE_IN_PARENT as TYPE_IN_PARENT
from plastiq_async._codec.fields import derived as derived
from plastiq_async._codec.fields import wire as wire
from plastiq_async._codec.shape import DecodeError as DecodeError
