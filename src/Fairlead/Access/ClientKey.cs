namespace Fairlead.Access;

/// <summary>
/// The client key of the environment, <c>FAIRLEAD_CLIENT_KEY</c>: calls models, and works on every server that has the variable. It is never stored; without the variable it is
/// unknown. Immutable.
/// </summary>
/// <param name="value">What the variable holds; null or empty when it is not set.</param>
/// <param name="adminKey">The admin key, which must be another one.</param>
/// <exception cref="ArgumentException">The value cannot serve as a key; the message says why and what to do.</exception>
internal sealed class ClientKey(string? value, AdminKey? adminKey = null) : EnvironmentKey(value, FaultOf(value, adminKey))
{
    public const string Variable = "FAIRLEAD_CLIENT_KEY";

    /// <summary>Who the key stands for: the operator's own project, of no organization of the store.</summary>
    public Caller Caller { get; } = CallerOf("key_environment_client", Variable, Scopes.Default);

    /// <summary>What keeps <paramref name="value"/> from serving as the client key, or null. The value itself is never repeated.</summary>
    public static string? FaultOf(string? value, AdminKey? adminKey) =>
        FaultOf(Variable, value)
        ?? (value is not null && adminKey?.Matches(value) == true ? $"{Variable} and {AdminKey.Variable} hold the same key. Use two keys: clients must not administer." : null);
}
