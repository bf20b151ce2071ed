namespace Fairlead.Access;

/// <summary>
/// The client key from the environment, <c>FAIRLEAD_CLIENT_KEY</c>. It calls models, and works on every server that has the variable. It is
/// never stored: without the variable it is unknown. Immutable.
/// </summary>
/// <param name="value">The value of the variable; null or empty when it is not set.</param>
/// <param name="adminKey">The admin key, which must be different.</param>
/// <param name="recordings">How the content of its calls is recorded; null for not at all.</param>
/// <exception cref="ArgumentException">The value cannot be used as a key; the message says why and what to do.</exception>
internal sealed class ClientKey(string? value, AdminKey? adminKey = null, IContentRecordings? recordings = null) : EnvironmentKey(
    value, ErrorOf(value, adminKey), recordings, recording => CallerOf("key_environment_client", Variable, Scopes.Default, recording))
{
    public const string Variable = "FAIRLEAD_CLIENT_KEY";

    /// <summary>Why <paramref name="value"/> cannot be used as the client key, or null. The text never contains the value.</summary>
    public static string? ErrorOf(string? value, AdminKey? adminKey) =>
        ErrorOf(Variable, value)
        ?? (value is not null && adminKey?.Matches(value) == true
            ? $"{Variable} and {AdminKey.Variable} contain the same key. Use two keys: clients must not be administrators." : null);
}
