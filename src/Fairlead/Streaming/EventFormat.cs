namespace Fairlead.Streaming;

/// <summary>How the events of a stream are separated on their way to a client.</summary>
internal enum EventFormat
{
    /// <summary>Server-sent events (WHATWG HTML), for a body of HTTP.</summary>
    ServerSentEvents,

    /// <summary>The JSON of each event on a line of its own; the output sends each line as one message.</summary>
    JsonLines,
}
