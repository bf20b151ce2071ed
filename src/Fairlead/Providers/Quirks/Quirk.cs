namespace Fairlead.Providers.Quirks;

/// <summary>What the gateway does about a quirk.</summary>
internal enum QuirkTreatment
{
    /// <summary>The client gets what a server without the quirk would have sent, on every path.</summary>
    Repaired,

    /// <summary>The attempt fails: before content another one is made, after it the stream ends with <c>provider_lost</c>.</summary>
    FailedAttempt,

    /// <summary>The request is refused with an error that names the field.</summary>
    Refused,

    /// <summary>The part is left out, and a warning says so.</summary>
    Dropped,
}

/// <summary>One difference between a real server and its own specification, and what the gateway does about it. One row of <c>docs/quirks.md</c>.</summary>
/// <param name="Id">Lower case words joined by hyphens, unique in all lists.</param>
/// <param name="Title">What is different, in a few words.</param>
/// <param name="Seen">Where it was seen: servers and their versions, or "many".</param>
/// <param name="Treatment">The kind of treatment.</param>
/// <param name="Behaviour">What the gateway does, in one sentence.</param>
/// <param name="Test"><c>Class.Method</c> of the functional test that shows it; a test checks that it exists.</param>
internal sealed record Quirk(string Id, string Title, string Seen, QuirkTreatment Treatment, string Behaviour, string Test);
