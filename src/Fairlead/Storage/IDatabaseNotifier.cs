namespace Fairlead.Storage;

/// <summary>
/// Tells every node of a database that something in it changed, so that nobody has to poll often. A notice is a hint and no record: it
/// may come twice, or not at all while the database is away. Who needs to know looks into the database when it hears, and now and then
/// without hearing. On SQLite it reaches this process only. Thread-safe.
/// </summary>
internal interface IDatabaseNotifier
{
    /// <summary>
    /// Says that what <paramref name="subject"/> names has changed, after the change is committed. Subscribers of this process hear it before this returns,
    /// other nodes soon after. Does not wait and does not throw.
    /// </summary>
    /// <param name="channel">Kind of the change, such as <c>generations</c>: lower case letters, digits and <c>_</c>.</param>
    /// <param name="subject">What changed, mostly an id; at most 4,000 bytes of UTF-8.</param>
    void Announce(string channel, string subject);

    /// <summary>Calls <paramref name="heard"/> for each notice until the result is disposed.</summary>
    /// <param name="channel">As announced.</param>
    /// <param name="heard">
    /// Called with the subject, or with null after notices may have been lost: then look at everything. It must return
    /// quickly and not throw, and may be called on several threads at once.
    /// </param>
    IDisposable Subscribe(string channel, Action<string?> heard);
}
