namespace Fairlead.Generations;

/// <summary>Jobs that wait for the same limits and deployments: those of one key, model and class.</summary>
/// <param name="KeyId">The key.</param>
/// <param name="Model">The model, as the requests name it.</param>
/// <param name="Class">The class.</param>
internal readonly record struct JobLine(string KeyId, string Model, string Class)
{
    public static JobLine Of(GenerationRecord record) => new(record.KeyId, record.Model, record.Class);
}
