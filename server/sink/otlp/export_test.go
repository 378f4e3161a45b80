package otlp

// Encode makes the body of a request.
var Encode = encode
