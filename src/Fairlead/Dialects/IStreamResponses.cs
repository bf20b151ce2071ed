using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Writes streamed responses of one dialect. Thread-safe; the state of one stream is in its writer.</summary>
internal interface IStreamResponses
{
    /// <summary>
    /// Whether a stream starts when the call is accepted, because the dialect has events for progress and for failures. Otherwise it
    /// starts with the first content, and a failure before that has its own HTTP status.
    /// </summary>
    bool CommitsAtAcceptance => false;

    /// <summary>A writer for one stream.</summary>
    DialectStreamWriter CreateWriter(GatewayCall call);
}
