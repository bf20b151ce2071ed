namespace Fairlead.Providers.Quirks;

/// <summary>How the gateway treats a quirk.</summary>
internal enum QuirkTreatment
{
    /// <summary>The client receives what a server without the quirk would have sent, on every path.</summary>
    Repaired,

    /// <summary>
    /// The attempt fails: before content another attempt follows; after content the stream ends with <c>provider_lost</c>.
    /// </summary>
    FailedAttempt,

    /// <summary>The request is rejected with an error that names the field.</summary>
    Refused,

    /// <summary>The part is left out with a warning.</summary>
    Dropped,
}

/// <summary>
/// One difference between a real server and its own specification, and how the gateway treats it. One row of <c>docs/quirks.md</c>.
/// </summary>
/// <param name="Id">Lower case words joined by hyphens, unique in all lists.</param>
/// <param name="Title">A short description of the difference.</param>
/// <param name="Seen">Where it was observed: servers and their versions, or "many".</param>
/// <param name="Treatment">The kind of treatment.</param>
/// <param name="Behaviour">What the gateway does, in one sentence.</param>
/// <param name="Test"><c>Class.Method</c> of the functional test for it; a test checks that it exists.</param>
internal sealed record Quirk(string Id, string Title, string Seen, QuirkTreatment Treatment, string Behaviour, string Test);
