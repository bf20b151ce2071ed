using System.Data;
using System.Data.Common;

namespace Fairlead.Storage;

internal static class DbCommandExtensions
{
    /// <summary>Adds a named parameter; null becomes the database's NULL.</summary>
    public static void AddParameter(this DbCommand command, string name, object? value)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.Value = value ?? DBNull.Value;
        command.Parameters.Add(parameter);
    }

    /// <summary>Adds a named parameter of a stated type: a null without one is one that PostgreSQL cannot place.</summary>
    public static void AddParameter(this DbCommand command, string name, DbType type, object? value)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.DbType = type;
        parameter.Value = value ?? DBNull.Value;
        command.Parameters.Add(parameter);
    }
}
