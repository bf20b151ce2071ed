namespace Fairlead.Storage;

/// <summary>
/// Notifies all nodes of a database of changes, so that they need not poll often. A notice is only a hint: it may come twice, or not at all
/// while the database is unavailable. A subscriber reads the database after a notice, and from time to time without one. On SQLite, notices
/// reach only this process. Thread-safe.
/// </summary>
internal interface IDatabaseNotifier
{
    /// <summary>
    /// Sends a notice of a change, after it is committed. Subscribers in this process are called before this returns, other nodes soon
    /// after. Does not wait and does not throw.
    /// </summary>
    /// <param name="channel">Kind of the change, such as <c>generations</c>: lower case letters, digits and <c>_</c>.</param>
    /// <param name="subject">What changed, usually an id; at most 4,000 bytes of UTF-8.</param>
    void Announce(string channel, string subject);

    /// <summary>Calls <paramref name="received"/> for each notice until the result is disposed.</summary>
    /// <param name="channel">The channel of <see cref="Announce"/>.</param>
    /// <param name="received">
    /// Called with the subject, or with null after notices may have been lost; then check everything. It must return quickly and not throw,
    /// and may be called on several threads at once.
    /// </param>
    IDisposable Subscribe(string channel, Action<string?> received);
}
