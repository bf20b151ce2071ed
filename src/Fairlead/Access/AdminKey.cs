namespace Fairlead.Access;

/// <summary>The administrator's key from the environment, <c>FAIRLEAD_ADMIN_KEY</c>. It works without a database. Immutable.</summary>
/// <param name="value">The value of the variable; null or empty when it is not set.</param>
/// <param name="recordings">How the content of its calls is recorded; null for not at all.</param>
/// <exception cref="ArgumentException">The value cannot be used as a key; the message says why and what to do.</exception>
internal sealed class AdminKey(string? value, IContentRecordings? recordings = null) : EnvironmentKey(
    value, ErrorOf(value), recordings,
    recording => CallerOf("key_environment", Variable, [Scopes.AdminAll], recording, AdminGrant.Owner))
{
    public const string Variable = "FAIRLEAD_ADMIN_KEY";

    /// <summary>Why <paramref name="value"/> cannot be used as the admin key, or null. The text never contains the value.</summary>
    public static string? ErrorOf(string? value) => ErrorOf(Variable, value);
}
