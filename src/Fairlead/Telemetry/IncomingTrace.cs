using System.Diagnostics;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Telemetry;

/// <summary>Trace context of the client (W3C) for a process without its own spans, which passes it on unchanged.</summary>
internal sealed record IncomingTrace(string Parent, string? State)
{
    // What the specification requires every participant to pass on.
    private const int LongestState = 512;

    /// <summary>Null when the client sent no valid one, or when this process has a span whose context is passed on instead.</summary>
    public static IncomingTrace? Of(IHeaderDictionary headers)
    {
        var parents = headers.TraceParent;
        if (parents.Count != 1 || Activity.Current is not null) return null;
        var parent = parents[0];
        if (!ActivityContext.TryParse(parent, null, out _)) return null;
        var state = headers.TraceState.ToString();
        return new IncomingTrace(parent!, state.Length is > 0 and <= LongestState && Ascii.IsValid(state) && !state.Any(char.IsControl)
            ? state : null);
    }
}
