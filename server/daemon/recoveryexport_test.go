package daemon

// ParseShareText reads the content of a share's file.
var ParseShareText = parseShareText
